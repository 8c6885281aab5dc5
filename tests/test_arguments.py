"""Whatever is put into a function that visitors' values reach, there is a result or a sentence.

With the types that a signature names, but any value of them: not a number, endless, negative, far too large, empty, in
no list of choices. What is not of its type is beartype's to refuse under pytest, and may be.
"""

import shutil
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from jaxtyping import TypeCheckError
from support import hostile_files as hostile

from mexplain import settings as limit_settings
from mexplain.attribution import attribute, rank_correlation
from mexplain.attribution.baselines import BASELINES
from mexplain.attribution.registry import METHODS
from mexplain.attribution.target import AttributionTarget
from mexplain.batch import discovery as archive_clips
from mexplain.batch.zip_bundle import BundledClip, bundle
from mexplain.cli.command import chosen
from mexplain.cli.loso import parse_sources
from mexplain.cli.main import main
from mexplain.errors import MexplainError
from mexplain.evaluation import simulated_experiment
from mexplain.evaluation.datasets.action_units import parse_units
from mexplain.evaluation.datasets.frames import natural, number_of, pictures_in
from mexplain.explain import counterfactual, spotting, window
from mexplain.explain.explain import explain
from mexplain.explain.explainer import Explainer
from mexplain.explain.prediction import input_tensor
from mexplain.face import alignment, blocks, mesh
from mexplain.face.extraction import read_aligned, read_stabilized
from mexplain.media import image, video
from mexplain.media.sandbox import client
from mexplain.media.sandbox.serialization import Payload, unpack
from mexplain.model import device
from mexplain.model.checkpoint import Checkpoint, load_checkpoint
from mexplain.model.hub_client import split_revision
from mexplain.model.scorecard import read_scorecard
from mexplain.records import VARIANTS, AlignedClip, Clip, ClipInfo, ExplainRequest, Moment, Report
from mexplain.records.face import FaceTrack
from mexplain.report import comparison, csv_tables, html_page, json_export, summary_image, wording
from mexplain.report.visuals import animation, heatmap_overlay, motion_magnification, plots
from mexplain.report.visuals.motion_magnification import motion
from mexplain.simulation import action_units, subject
from mexplain.simulation.clip import simulate
from mexplain.simulation.expression import Expression
from mexplain.simulation.subject import StillFace
from mexplain.ui import quiz, simulator_settings
from mexplain.ui.permalink import from_query


@dataclass(frozen=True)
class Have:
    """Stands for something that tests share; ``key`` names it."""

    key: str


def the(*keys: str) -> SearchStrategy:
    return st.sampled_from([Have(key) for key in keys])


def some(*usual: Any) -> SearchStrategy:
    return st.sampled_from(usual)


words = some("", " ", "all", "none", "../x", "a\nb", "'\"<b>", "\udcff", "💥", "x" * 300) | st.text(max_size=8)
numbers = some(0.0, -0.0, -1.0, 0.5, 1.0, 1e-300, 1e-9, 1e9, 1e308, float("nan"), float("inf"), float("-inf"))
counts = some(0, 1, 2, 3, -1, 10**6, 2**31, 2**63, -(2**63))
seconds = st.none() | numbers | some(0.1, 0.2, 0.3, 0.6)
methods = some("attention", "saliency", "shapley") | words
variants = some(*VARIANTS) | words
baselines = some("onset", "black", "mean") | words
targets = st.none() | some("happiness", "disgust") | words
devices = some("cpu", "auto", "cuda", "cuda:99", "cpu:1", "mps") | words
sides = some("both", "left", "right") | words
units = some(1, 4, 12, 25, 45) | counts
paths = the("clip", "photo", "text", "empty", "folder", "missing", "long", "inside a file")
outputs = the("out", "missing", "folder", "inside a file")
queries = st.dictionaries(some("method", "baseline", "target", "shown", "opacity", "sample") | words, words, max_size=4)


def arrays(*shape: int | None, kind: str = "float32") -> SearchStrategy:
    """Numbers in an array whose sides are given, or any few."""

    def make(lengths: list[int], fill: str, seed: int) -> np.ndarray:
        sizes = [length if side is None else side for side, length in zip(shape, lengths, strict=True)]
        values = np.random.default_rng(seed).normal(40, 30, sizes)
        values *= {"flat": 0.0, "huge": 1e30}.get(fill, 1.0)
        if fill == "nan" and kind != "uint8":
            values[...] = np.nan
        return np.clip(values, 0, 255).astype(kind) if kind == "uint8" else values.astype(kind)

    lengths = st.lists(some(1, 2, 3, 20), min_size=len(shape), max_size=len(shape))
    return st.builds(make, lengths, some("noise", "flat", "huge", "nan"), st.integers(0, 9))


pictures = arrays(None, None, 3, kind="uint8")
meshes = arrays(478, 2) | the("mesh")
infos = st.builds(ClipInfo, words, numbers, counts, numbers, counts, counts)
clips = the("person") | st.builds(Clip, arrays(3, None, None, 3, kind="uint8"), st.just(np.arange(3.0)), infos)
tracks = the("track") | st.builds(FaceTrack, arrays(None, 478, 2))
faces = the("smile") | st.builds(
    AlignedClip,
    arrays(3, 24, 24, 3, kind="uint8"),
    arrays(3, kind="float64") | st.just(np.arange(3.0)),
    meshes,
    arrays(2, 3),
)
looks = st.builds(
    animation.AnimationOptions, some("attention", "blocks", "pixels"), methods, st.booleans(), some(0.0, 1.0, 0.3)
)
sitters = the("sitter") | st.builds(StillFace, pictures, meshes)
expressions = st.builds(Expression, st.lists(units, max_size=3).map(tuple), sides, numbers, numbers, numbers, numbers)
short_expressions = st.builds(Expression, st.just((12,)))
records = st.builds(Moment, numbers, numbers, numbers, some(*spotting.KINDS), numbers)
rates = st.none() | numbers | some(1.0, 60.0, 200.0)
asked = {"start_s": seconds, "end_s": seconds, "fps": rates}
lists = {"methods": st.lists(methods, max_size=2).map(tuple), "variants": st.lists(variants, max_size=2).map(tuple)}


def _explain(path: Any, checkpoint: Checkpoint, **choices: Any) -> Report:
    return explain(path, checkpoint, ExplainRequest(**choices))


def _predict(path: Any, checkpoint: Checkpoint, **choices: Any) -> Explainer:
    return Explainer.from_clip(path, checkpoint, ExplainRequest(**choices))


def _targets(explainer: Explainer, **choices: Any) -> dict[str, AttributionTarget]:
    return explainer.targets(ExplainRequest(**choices))


def _bundle(clips: list[Path], checkpoint: Checkpoint, out: Path, **choices: Any) -> Iterator[BundledClip]:
    return bundle(clips, checkpoint, out, ExplainRequest(**choices))


def _unpacked(room: memoryview) -> Any:
    try:
        return unpack(room)
    except ValueError as error:
        assert "no value" in str(error)


def _written(payload: Payload) -> memoryview:
    room = memoryview(bytearray(payload.size))
    payload.write(room)
    return room


# Their paths come from the command line, which makes a sentence of what the system says; no visitor can name one.
OPERATORS = ("find_clips", "load_checkpoint", "pictures_in")

# What is called, with what, and how often; what takes long is called seldom, and mostly with what cannot be.
CASES: dict[str, tuple[Any, dict[str, SearchStrategy], int]] = {
    "probe": (video.probe, {"path": paths, "fps": rates}, 16),
    "read_clip": (
        video.read_clip,
        {
            "path": paths,
            **asked,
            "max_frames": some(2, 5) | counts,
            "max_side": some(16, 64) | counts,
            "view": st.tuples(*[some(0.0, 0.3, 0.7, 1.0) | numbers] * 4),
        },
        60,
    ),
    "write_video": (
        video.write_video,
        {
            "path": outputs,
            "frames": arrays(None, None, None, 3, kind="uint8"),
            "fps": numbers | some(25.0),
            "crf": some(0, 20, 51) | counts,
            "fast": st.booleans(),
        },
        40,
    ),
    "read_aligned": (
        read_aligned,
        {
            "path": paths,
            **asked,
            "frames": some(2, 4) | some(-1, 0, 1),
            "sizes": some((32,), (32, 64), (), (0,), (-5, 8)),
            "crop_iod": some(2.8, 0.0, -1.0, float("nan"), 1e-9, 1e9),
        },
        10,
    ),
    "follow": (
        read_stabilized,
        {"path": the("text", "missing", "photo"), **asked, "image_size": some(32), "crop_iod": some(2.8)},
        8,
    ),
    "read_photo": (image.read_photo, {"path": paths, "longest": some(64, 960) | counts}, 30),
    "encode_jpeg": (image.encode_jpeg, {"picture": pictures, "longest": counts, "quality": counts}, 30),
    "from_photo": (subject.from_photo, {"path": paths}, 12),
    "built_in": (subject.built_in, {"name": words | some("Person 1")}, 12),
    "is_long": (window.is_long, {"path": paths, "fps": rates}, 10),
    "align": (
        alignment.align,
        {
            "clip": clips,
            "track": tracks,
            "frames": some(2, 12) | some(-1, 0, 1),
            "image_size": some(16, 32) | some(0, -9),
            "crop_iod": some(2.8) | some(0.0, -1.0, float("nan")),
        },
        20,
    ),
    "hold_still": (
        alignment.stabilize,
        {"clip": clips, "track": tracks, "image_size": some(16, 32), "crop_iod": some(2.8)},
        12,
    ),
    "explain": (
        _explain,
        {
            "path": the("clip", "text", "missing"),
            "checkpoint": the("checkpoint"),
            **lists,
            **asked,
            "baseline": baselines,
            "target": targets,
            "device": devices,
        },
        10,
    ),
    "read": (
        _predict,
        {
            "path": paths,
            "checkpoint": the("checkpoint"),
            "variants": some(("10",), ()),
            **asked,
            "device": devices,
        },
        8,
    ),
    "question": (
        _targets,
        {"explainer": the("explainer"), "baseline": baselines, "target": targets},
        16,
    ),
    "attribute": (
        attribute.attribute,
        {
            "model": the("model"),
            "variant": variants,
            "frames": the("tensor"),
            "landmarks_xy": the("mesh"),
            "method": some("attention") | words,
            "baseline": baselines,
            "class_index": st.none() | counts,
            "settings": st.none() | st.dictionaries(some("samples", "size") | words, counts | numbers, max_size=2),
        },
        12,
    ),
    "hold blocks still": (
        counterfactual.predict_with_blocks_held,
        {
            "prediction": the("prediction"),
            "targets": the("targets"),
            "blocks": st.lists(some("nose", "chin") | words, max_size=3),
            "variant": variants,
        },
        8,
    ),
    "bundle": (
        _bundle,
        {
            "clips": st.lists(the("text", "missing", "folder"), max_size=3),
            "checkpoint": the("checkpoint"),
            "out": outputs,
            "methods": lists["methods"],
            "baseline": baselines,
            "target": targets,
        },
        10,
    ),
    "load_checkpoint": (
        load_checkpoint,
        {"source": the("text", "folder", "missing", "clip", "long"), "device": some("cpu")},
        8,
    ),
    "split_revision": (
        split_revision,
        {"source": words | some("a/b@c", "a@", "@", "a/b@@"), "revision": st.none() | words},
        30,
    ),
    "read_scorecard": (read_scorecard, {"folder": the("folder", "missing", "text"), "checkpoint_sha256": words}, 12),
    "move": (
        simulated_experiment.simulate_movement,
        {
            "face": the("sitter"),
            "aus": st.lists(units, max_size=2).map(tuple),
            "side": sides,
            "strength_iod": numbers | some(0.05),
            "lasts_s": numbers | some(0.1),
            "seed": counts,
        },
        10,
    ),
    "simulate": (
        simulate,
        {
            "photo": pictures,
            "landmarks_xy": meshes,
            "expression": short_expressions,
            "duration_s": numbers | some(0.1),
            "fps": numbers | some(30.0),
            "drift_iod": numbers,
            "noise": numbers,
            "seed": some(0, 5, -1, 2**63),
        },
        30,
    ),
    "Expression": (lambda made: made, {"made": expressions}, 40),
    "parse_action_units": (
        action_units.parse_action_units,
        {"text": words | some("12", "6,12", "4+7", "99", "1e3", "-1")},
        40,
    ),
    "full_displacement": (action_units.full_displacement, {"unit": units, "side": sides}, 20),
    "combined_displacement": (
        action_units.combined_displacement,
        {"units": st.lists(units, max_size=3), "side": sides, "intensity_iod": numbers},
        30,
    ),
    "rounds": (
        quiz.quiz_questions,
        {"seed": counts, "count": counts.filter(lambda n: n < 1000), "faces": st.none() | st.lists(words, max_size=2)},
        20,
    ),
    "mark": (quiz.mark_answer, {"question": the("round"), "guess": counts}, 12),
    "score": (quiz.quiz_score, {"marks": some((), [])}, 4),
    "Look": (
        animation.AnimationOptions,
        {"shown": words, "method": words, "magnitude": st.booleans(), "opacity": numbers},
        30,
    ),
    "heat_film": (
        animation.heatmap_animation,
        {"variant": the("variant", "uncropped"), "face": faces, "options": looks},
        10,
    ),
    "magnified_film": (
        motion_magnification.magnified_animation,
        {"face": the("smile"), "crop_iod": some(2.8), "factor": st.none() | numbers},
        10,
    ),
    "motion": (motion, {"face": faces, "crop_iod": some(2.8, 0.1)}, 8),
    "top_blocks": (
        heatmap_overlay.top_blocks,
        {
            "variant": the("variant", "uncropped"),
            "quantity": some("attention", "attribution"),
            "method": methods,
            "count": counts,
        },
        20,
    ),
    "attention_face": (
        heatmap_overlay.attention_face,
        {"report": the("report"), "variant": the("variant", "uncropped")},
        4,
    ),
    "pixel_face": (
        heatmap_overlay.pixel_face,
        {"report": the("report"), "variant": the("variant"), "method": methods},
        8,
    ),
    "attribution_face": (
        heatmap_overlay.attribution_face,
        {
            "report": the("report"),
            "variant": the("variant"),
            "method": methods,
        },
        8,
    ),
    "heatmap": (
        plots.block_time_heatmap,
        {
            "report": the("report"),
            "variant": the("variant", "uncropped"),
            "quantity": some("attention", "attribution"),
            "method": methods,
        },
        8,
    ),
    "percent": (plots.percent, {"share": some(0.0, 0.5, 1.0, 0.999, 1e-9)}, 8),
    "compare": (comparison.compare_variants, {"report": the("report"), "method": methods}, 8),
    "card": (summary_image.summary_image, {"report": the("report")}, 1),
    "to_html": (html_page.to_html, {"report": the("report")}, 1),
    "write_html": (html_page.write_html, {"report": the("report"), "path": the("folder", "inside a file")}, 2),
    "write_json": (json_export.write_json, {"report": the("report"), "path": outputs}, 8),
    "about_method": (
        wording.about_method,
        {"method": some(*METHODS), "baseline": some(*BASELINES), "scorecard": st.none()},
        20,
    ),
    "measured": (wording.measured, {"method": some(*METHODS), "scorecard": st.none(), "variant": variants}, 12),
    "trust": (wording.trust, {"variant": the("variant"), "method": some("integrated_gradients")}, 2),
    "table": (
        csv_tables.csv_table,
        {"columns": st.lists(words, max_size=3), "rows": st.lists(st.dictionaries(words, words | numbers), max_size=3)},
        30,
    ),
    "layout": (blocks.layout, {"variant": variants}, 20),
    "pooling_layout": (blocks.pooling_layout, {"variant": variants}, 20),
    "resolve_device": (device.resolve_device, {"text": devices}, 30),
    "limit": (limit_settings.limit, {"name": some(*limit_settings.LIMITS)}, 9),
    "chosen": (
        chosen,
        {"what": st.just("Variant"), "texts": st.lists(words, max_size=3), "known": st.just(VARIANTS)},
        30,
    ),
    "rank": (spotting.rank, {"moments": st.lists(records, max_size=3)}, 30),
    "overlap": (spotting.overlap, {"first": records, "second": records}, 30),
    "lid_closure": (spotting.lid_closure, {"landmarks_xy": arrays(3, 478, 2)}, 12),
    "spearman": (rank_correlation.spearman, {"one": arrays(3, kind="float64"), "other": arrays(3, kind="float64")}, 20),
    "fit_pose": (mesh.fit_pose, {"landmarks_xy": arrays(2, 478, 2)}, 12),
    "from_query": (
        from_query,
        {"query": queries, "labels": st.just(("happiness",)), "samples": st.just(("happiness.mp4",))},
        60,
    ),
    "simulator_from_query": (
        simulator_settings.simulator_from_query,
        {
            "query": st.dictionaries(st.sampled_from(list(simulator_settings.default_texts())), words | some("1e400")),
            "people": st.just(("Person 1",)),
        },
        60,
    ),
    "parse_sources": (
        parse_sources,
        {"texts": st.lists(words | some("casme2=x", "samm=", "=x", "smic"), max_size=3)},
        30,
    ),
    "parse_units": (parse_units, {"text": words | some("AU4", "L12+R1", "4+?", "AU 99", "12A")}, 40),
    "natural": (natural, {"text": words | some("img10", "2²", "٣")}, 30),
    "number_of": (number_of, {"path": st.builds(Path, words | some("img12.jpg", "12_3.png"))}, 30),
    "pictures_in": (pictures_in, {"folder": the("folder", "missing")}, 4),
    "find_clips": (archive_clips.find_clips, {"source": words | some("[", "*", "**", "[!]", "?" * 50)}, 30),
    "unpack": (_unpacked, {"room": st.binary(max_size=200).map(lambda data: memoryview(bytearray(data)))}, 60),
    "Payload": (
        lambda value: unpack(_written(Payload(value))),
        {"value": words | numbers | counts | arrays(None, None)},
        30,
    ),
    "call": (client.call, {"function": st.just(video.probe), "path": paths, "name": words}, 10),
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory, person_path, person_clip, checkpoint, smile, report):
    folder = tmp_path_factory.mktemp("given")
    shutil.copy(person_path, folder / "clip.mp4")
    (folder / "photo.png").write_bytes(hostile._png(20, 20, bytes(2000)))
    (folder / "text.txt").write_text("no video")
    (folder / "empty.mp4").touch()
    request = ExplainRequest(variants=("10", "24"), start_s=0.2, end_s=0.5, device="cpu")
    explainer = Explainer.from_clip(person_path, checkpoint, request)
    by_name = {variant.variant: variant for variant in report[0].variants}
    person = Clip(person_clip.frames[:3], person_clip.times_s[:3], person_clip.info)
    face = subject.built_in("Person 1")
    return {
        "clip": folder / "clip.mp4",
        "photo": folder / "photo.png",
        "text": folder / "text.txt",
        "empty": folder / "empty.mp4",
        "folder": folder,
        "missing": folder / "no" / "such.mp4",
        "long": folder / ("x" * 400),
        "inside a file": folder / "text.txt" / "x.mp4",
        "out": folder / "out.bin",
        "person": person,
        "track": FaceTrack(np.repeat(smile.landmarks_xy[None] + 90, 3, 0)),
        "mesh": smile.landmarks_xy,
        "smile": smile,
        "sitter": face,
        "round": quiz.quiz_questions(1)[0],
        "checkpoint": checkpoint,
        "model": checkpoint.model,
        "tensor": input_tensor(explainer.prediction.aligned, explainer.device),
        "explainer": explainer,
        "prediction": explainer.prediction,
        "targets": {"10": explainer.targets()["10"]},
        "report": report[0],
        "variant": by_name["10"],
        "uncropped": by_name["uncropped"],
    }


def resolved(value: Any, shared: dict[str, Any]) -> Any:
    if isinstance(value, Have):
        return shared[value.key]
    return [resolved(part, shared) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_there_is_a_result_or_a_sentence(name, shared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function, strategies, times = CASES[name]

    @settings(
        max_examples=times,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    @given(st.data())
    def whatever(data):
        try:
            drawn = {key: data.draw(strategy, label=key) for key, strategy in strategies.items()}
            given = {key: resolved(value, shared) for key, value in drawn.items()}
            result = function(given.pop("self"), **given) if "self" in given else _call(function, given)
            if isinstance(result, types.GeneratorType):
                list(result)
        except MexplainError as error:
            assert len(str(error).split()) > 3 and "Traceback" not in str(error), str(error)
        except TypeCheckError:
            pass
        except OSError:
            assert name in OPERATORS

    whatever()


def _call(function: Any, given: dict[str, Any]) -> Any:
    if function is client.call:
        return function(given["function"], given["path"], name=given["name"])
    return function(**given)


options = some(
    "--start",
    "--end",
    "--method",
    "--baseline",
    "--target",
    "--variant",
    "--out",
    "--html",
    "--thorough",
    "--device",
    "--aus",
    "--side",
    "--intensity",
    "--seed",
    "--fps",
    "--checkpoint",
    "--help",
    "-x",
)
commands = (
    some("explain", "simulate", "methods", "evaluate", "bench-explanations", "hub", "explain-archive", "hub verify")
    | words
)


@settings(max_examples=40, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(commands, st.lists(options | words | some("1", "-1", "nan", "1e400", "none.mp4", "attention"), max_size=6))
def test_a_command_line_of_any_words_gives_a_sentence(command, rest):
    line = [*command.split(), *rest]
    if "train" in line:
        return
    try:
        code = main(line)
    except SystemExit as ended:
        code = ended.code
    assert code in (0, 2)


@pytest.mark.parametrize("given_word", ["", "0", "-1", "1.5", "1e3", "٣", "nan", " 7 ", "x" * 50])
def test_limits_are_whole_numbers_or_a_sentence(given_word, monkeypatch):
    for name, known in limit_settings.LIMITS.items():
        monkeypatch.setenv(known.variable, given_word)
        try:
            assert limit_settings.limit(name) in (known.usual, 7)
        except MexplainError as error:
            assert known.variable in str(error)
