"""The command ``simulate``: a photo to a clip whose cause is known."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mexplain.cli.command import Command, check_out_file
from mexplain.errors import SettingError

if TYPE_CHECKING:
    from mexplain.simulation.expression import Expression

PHOTO_SIDE = 960


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        f"Writes CLIP.mp4 and what is true of it: CLIP.truth.json and CLIP.truth.npz (key motion_px). "
        f"Photos larger than {PHOTO_SIDE} px are shrunk."
    )
    parser.add_argument("photo", type=Path, metavar="PHOTO", help="a picture of a face")
    parser.add_argument("--aus", required=True, metavar="LIST", help="action units (FACS numbers), such as 6,12")
    parser.add_argument("--side", default="both", metavar="SIDE", help="the subject's: both (default), left or right")
    parser.add_argument(
        "--muscles",
        default="rig",
        metavar="MODEL",
        help="what moves the face: rig (default; what training uses) or fibres (muscles as lines, after anatomy)",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="CLIP.mp4", help="the video to write")
    for name, default, text in (
        ("intensity", 0.05, "how far the point that moves most moves, in distances between the pupils"),
        ("onset", 0.1, "when the movement starts, in seconds"),
        ("apex", 0.35, "when it is strongest"),
        ("offset", 0.7, "when it is over"),
        ("duration", 0.8, "length of the clip, in seconds"),
        ("fps", 50.0, "frames per second"),
        ("drift", 0.0, "how far the head wanders, in distances between the pupils"),
        ("noise", 0.0, "standard deviation of the sensor's noise, in grey levels (0 to 255)"),
    ):
        parser.add_argument(f"--{name}", type=float, default=default, metavar="X", help=f"{text} (default {default})")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="fixes drift and noise (default 0)")


def _expression(options: argparse.Namespace) -> "Expression":
    from mexplain.simulation.action_units import parse_action_units
    from mexplain.simulation.expression import Expression

    units = parse_action_units(options.aus)
    return Expression(
        units, options.side, options.intensity, options.onset, options.apex, options.offset, options.muscles
    )


def _check(options: argparse.Namespace) -> None:
    if options.out.suffix.lower() != ".mp4":
        raise SettingError(f"The clip to write must be named .mp4; got {options.out}.")
    check_out_file(options.out)

    from mexplain.simulation.expression import check_disturbance, frame_count

    _expression(options)
    frame_count(options.duration, options.fps)
    check_disturbance(options.drift, options.noise, options.seed)


def _run(options: argparse.Namespace) -> int:
    from mexplain.face.landmarker import find_face
    from mexplain.media.image import read_photo
    from mexplain.media.video import write_video
    from mexplain.simulation.clip import simulate

    expression = _expression(options)
    photo = read_photo(options.photo, PHOTO_SIDE)
    face = find_face(photo)
    clip = simulate(
        photo,
        face.landmarks_xy,
        expression,
        duration_s=options.duration,
        fps=options.fps,
        drift_iod=options.drift,
        noise=options.noise,
        seed=options.seed,
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    truth = options.out.with_suffix(".truth.json")
    write_video(options.out, clip.frames, clip.fps)
    clip.write_truth(truth)
    units = "+".join(map(str, expression.aus))
    print(
        f"{options.out}: {len(clip.frames)} frames, AU {units} ({expression.side}); truth in {truth.name}", *face.notes
    )
    return 0


COMMAND = Command("simulate", "make a clip whose cause is known from a photo", _add_options, _check, _run)
