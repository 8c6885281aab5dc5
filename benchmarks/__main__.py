"""``python -m benchmarks``: times, ratios, the floor; ``check``: answers against float64; ``memory``: of a minute;
``nulls``: how often scores that know nothing pass the checks of an explanation; ``blendshapes``: what MediaPipe's model
of them sees; ``sentences``: how often what is said of muscles, sides and times is right; ``training``: clips a second
of each stage of a step of the heads; ``archive``: clips a second of integrated gradients in chunks; ``profile``: the
operators that take longest.
"""

import argparse
import json
import math
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks import archive, blendshapes, memory, network, profile, training, video
from benchmarks.check import check
from benchmarks.clips import each_input, inputs
from benchmarks.journal import Journal
from benchmarks.table import table
from mexplain.model.checkpoint import SHIPPED, Checkpoint, load_checkpoint
from mexplain.model.device import resolve_device
from mexplain.model.network import MicroExpressionNet


def main(arguments: list[str] | None = None) -> None:
    """Measure what the command line asks for, print it, and write it as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "what",
        nargs="?",
        choices=(
            *("speed", "check", "memory", "nulls", "blendshapes", "sentences"),
            *("training", "archive", "profile"),
        ),
        default="speed",
        help="what to measure",
    )
    parser.add_argument("--faces", nargs="+", type=Path, help="sentences: folders of face photos")
    parser.add_argument("--mixture", default="calm", help="sentences: kind of clips, a key of TEST_MIXTURES")
    parser.add_argument("--split", choices=("validation", "test"), default="test", help="sentences: whose faces")
    parser.add_argument("--people", type=int, default=30, help="blendshapes: faces that move")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument(
        "--clips",
        type=int,
        default=1,
        help="clips at once at most: 1, 8 and 64 up to that are timed; nulls: of the shipped known clips",
    )
    parser.add_argument("--frames", type=int, help="frames of each clip, by default as many as the network takes")
    parser.add_argument("--repeats", type=int, default=3, help="warm calls of each stage")
    parser.add_argument("--json", type=Path, help="where to write everything")
    parser.add_argument("--threads", type=int, help="processor cores to use")
    parser.add_argument(
        "--all-methods", action="store_true", help="time every method, not those of the explanation only"
    )
    parser.add_argument("--no-video", action="store_true", help="leave out reading, finding the face and drawing")
    parser.add_argument("--long", type=float, default=10.0, help="seconds of the long clip (landmarks, memory)")
    parser.add_argument("--steps", type=int, default=400, help="check: points of the float64 reference")
    parser.add_argument("--seconds", type=float, default=math.inf, help="check: begin no other clip after so long")
    parser.add_argument("--sizes", nargs="+", type=int, help="speed: time only these numbers of clips at once")
    parser.add_argument("--plain-calls", type=int, help="speed: calls of the plain way, by default one for each repeat")
    parser.add_argument(
        "--gigabytes", nargs="+", type=float, default=(), help="archive: values of MEXPLAIN_GPU_GB to compare on a GPU"
    )
    parser.add_argument("--batch", type=int, default=160, help="profile: clips of the step of training")
    parser.add_argument("--out", type=Path, default=Path(), help="profile: where to write its tables")
    chosen = parser.parse_args(arguments)
    if chosen.what == "sentences" and not chosen.faces:
        parser.error("sentences needs --faces DIR [DIR ...]")
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    if chosen.what == "blendshapes":
        print(blendshapes.table(blendshapes.measure(chosen.people)))
        return
    started, load = time.perf_counter(), os.getloadavg()
    checkpoint = load_checkpoint(SHIPPED, device=resolve_device(chosen.device))
    model = checkpoint.model
    if chosen.what == "sentences":
        _sentences(checkpoint, chosen.faces, chosen.split, chosen.mixture, chosen.clips)
        return
    if chosen.what == "nulls":
        _nulls(model, chosen.clips, chosen.json)
        return
    device, journal = model.mean.device, Journal(chosen.json)
    if chosen.what == "profile":
        clips = inputs(chosen.clips, model.config, device, chosen.frames)
        chosen.out.mkdir(parents=True, exist_ok=True)
        print(*profile.measure(model, clips, chosen.batch, chosen.out, journal), sep="\n")
        return
    if chosen.what == "check":
        clips = each_input(chosen.clips, model.config, device, chosen.frames)
        found = check(model, clips, chosen.steps, journal, chosen.seconds)
    elif chosen.what == "memory":
        found = memory.measure(checkpoint, chosen.long)
    elif chosen.what == "training":
        found = training.measure(model, chosen.clips, chosen.frames, chosen.repeats, journal)
    elif chosen.what == "archive":
        journal(f"making {chosen.clips} clip(s)")
        clips = inputs(chosen.clips, model.config, device, chosen.frames)
        found = archive.measure(model, clips, chosen.gigabytes, journal)
    else:
        found = _speed(checkpoint, chosen, journal)
    found |= {"load_before": load, "load_after": os.getloadavg(), "seconds": time.perf_counter() - started}
    print(table(found))
    journal.keep(found)


def _speed(checkpoint: Checkpoint, chosen: argparse.Namespace, journal: Journal) -> dict[str, Any]:
    model = checkpoint.model
    sizes = sorted(set(chosen.sizes or [size for size in (1, 8, 64, chosen.clips) if size <= chosen.clips]))
    journal(f"making {sizes[-1]} clip(s)")
    clips = inputs(sizes[-1], model.config, model.mean.device, chosen.frames)
    methods = network.all_methods() if chosen.all_methods else network.EXPLAINED
    found = network.measure(model, clips, sizes, chosen.repeats, methods, journal, chosen.plain_calls)
    skipped = {"skipped": "decode, landmarks, alignment, rendering and encoding: not asked for"}
    found["video"] = skipped if chosen.no_video else video.measure(checkpoint, chosen.repeats, chosen.long)
    if "decode_and_face_s" in found["video"] and "1" in found["stages_per_clip"]:
        quick = found["stages_per_clip"]["1"]["predict, attention, block ablation"]["median_s"]
        found["ratios"]["quick_answer_vs_decode_and_face"] = quick / found["video"]["decode_and_face_s"]
    return found


def _sentences(checkpoint: Checkpoint, folders: list[Path], split: str, mixture: str, clips: int) -> None:
    from mexplain.evaluation.sentence_scores import score_sentences
    from mexplain.simulation.faces import load_faces
    from mexplain.simulation.sampling import TEST_MIXTURES

    people = load_faces(folders, checkpoint.model.config.crop_iod).split(split)
    print(score_sentences(checkpoint, people, clips, mixture=TEST_MIXTURES[mixture]))


def _nulls(model: MicroExpressionNet, clips: int, json_path: Path | None) -> None:
    # The other measurements do without PyAV, which reads the known clips.
    from mexplain.evaluation.scorecard.known_clips import load_known_clips
    from mexplain.evaluation.scorecard.null_rates import null_rates, null_rates_table

    rates = null_rates(model, load_known_clips(count=clips).clips)
    print(null_rates_table(rates))
    if json_path:
        plain = {
            variant: {row: {key: asdict(share) for key, share in checks.items()} for row, checks in rows.items()}
            for variant, rows in rates.items()
        }
        json_path.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
