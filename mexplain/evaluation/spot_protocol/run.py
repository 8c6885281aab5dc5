"""Long videos of data sets from folders to scores, without training."""

from collections.abc import Mapping
from dataclasses import asdict

from mexplain.errors import DatasetError, MexplainError
from mexplain.evaluation.datasets.long_videos import LONG_VIDEO_DATASETS, LongVideo
from mexplain.evaluation.datasets.sample import Problem
from mexplain.evaluation.spot_protocol.request import SpotRequest
from mexplain.evaluation.spot_protocol.score import SpotScore, SpottedKind, score_videos
from mexplain.evaluation.spot_protocol.search import SearchedVideo, search_video
from mexplain.media.files import write_json_file
from mexplain.media.progress import track
from mexplain.model.checkpoint import SHIPPED, load_checkpoint
from mexplain.model.device import resolve_device

RESULTS, VIDEOS = "results.json", "videos"
# Published for long videos that nobody had seen before (arXiv:2506.15298, table of MEGC 2025's baseline, and its best).
OTHERS_REACH = (
    "For comparison: the baseline of MEGC 2025 (MEAN) has F1 .03 and .04 for micro-expressions and STRS .006 and .009 "
    "on unseen long videos of SAMM and CAS(ME)3; the best entries have STRS of about .09 to .20."
)


def run_spot(request: SpotRequest) -> str:
    """Search all long videos of some data sets, and return the scores as text.

    Writes ``results.json`` into ``out``, and what was found in each video into ``videos/`` as it ends; a run that was
    stopped goes on from there. Raises ``DatasetError`` if no video can be used.
    """
    device = resolve_device(request.device)
    checkpoint = load_checkpoint(request.checkpoint or SHIPPED, device=device)
    contents = {name: LONG_VIDEO_DATASETS[name](path) for name, path in request.sources.items()}
    problems = [problem for each in contents.values() for problem in each.problems]
    videos: list[LongVideo] = []
    searched: list[SearchedVideo] = []
    for video in track([video for each in contents.values() for video in each.videos], "long videos"):
        try:
            searched.append(search_video(video, checkpoint, device, request.out / VIDEOS))
            videos.append(video)
        except MexplainError as error:
            problems.append(Problem(video.dataset, f"{video.subject}/{video.name}", str(error).rstrip(".")))
    if not videos:
        reason = f" The first reason: {problems[0]}." if problems else ""
        raise DatasetError(f"No long video can be used.{reason}")
    scores = {}
    for name in [*contents, *(["all"] if len(contents) > 1 else [])]:
        chosen = [i for i, video in enumerate(videos) if name in ("all", video.dataset)]
        if chosen:
            scores[name] = score_videos([videos[i] for i in chosen], [searched[i] for i in chosen])
    results = {
        "schema_version": 1,
        "checkpoint_sha256": checkpoint.sha256,
        "moment_floor": checkpoint.moment_floor,
        "scores": {name: asdict(score) for name, score in scores.items()},
        "problems": [str(problem) for problem in problems],
        "videos": [_video(*pair) for pair in zip(videos, searched, strict=True)],
    }
    write_json_file(request.out / RESULTS, results)
    return spot_text(scores, problems)


def spot_text(scores: Mapping[str, SpotScore], problems: list[Problem]) -> str:
    """Scores as text, with what others reach on such videos."""
    lines = []
    for name, score in scores.items():
        lines.append(
            f"{name}: {score.videos} videos of {score.subjects} subjects, {score.minutes:.1f} min; no training on them."
        )
        for kind in ("micro", "macro", "both"):
            lines.append(f"  {kind}: {_kind_text(getattr(score, kind))}")
        if score.uf1 is None or score.strs is None:
            lines.append("  No spotted micro-expression that matches has a coded class, so none is recognised.")
        else:
            lines.append(
                f"  recognised: UF1 {score.uf1:.3f} of {score.recognised}; STRS {score.strs:.3f}"
                f"{_interval_text(score.strs_interval)}"
            )
    if problems:
        lines.append(f"{len(problems)} rows or videos could not be used; the first: {problems[0]}.")
    return "\n".join([*lines, OTHERS_REACH])


def _kind_text(kind: SpottedKind) -> str:
    return (
        f"F1 {kind.f1:.3f}{_interval_text(kind.f1_interval)}, precision {kind.precision:.3f}, recall {kind.recall:.3f} "
        f"({kind.coded} coded, {kind.spotted} spotted, {kind.matched} match)"
    )


def _interval_text(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f" ({interval[0]:.3f} to {interval[1]:.3f})"


def _video(video: LongVideo, searched: SearchedVideo) -> dict[str, object]:
    coded = [
        {
            "onset_s": video.seconds(e.onset),
            "offset_s": video.seconds(e.offset + 1),
            "kind": e.kind,
            "emotion": e.emotion,
        }
        for e in video.events
    ]
    names = {"dataset": video.dataset, "subject": video.subject, "name": video.name, "fps": video.fps}
    return names | {"coded": coded, **asdict(searched)}
