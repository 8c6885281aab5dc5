"""A report as JSON."""

import json
from collections.abc import Collection
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from mexplain.errors import SettingError
from mexplain.explain.block_game import block_game_sentence
from mexplain.explain.claimed_blocks import claimed_cosines
from mexplain.language.message import text
from mexplain.media.files import write_text
from mexplain.records import Agreement, BlockReport, Evidence, FaithfulnessReport, Report, VariantReport
from mexplain.records.face import BlockGame

SCHEMA_VERSION = 3
DISCLAIMER = text(
    "This shows how a model decides. It does not read people: what a face shows does not tell what someone feels. "
    "Do not use it to judge anyone; in workplaces and education the EU bans inferring emotions (AI Act, Art. 5(1)(f))."
)


def to_json(report: Report) -> dict[str, Any]:
    """A report as plain dictionaries, lists, strings and numbers (6 significant digits), schema version 3.

    Pictures and attribution maps are left out. Times are seconds, boxes pixels of the file (``xyxy``) or shares of the
    aligned crop (``crop_xyxy``), attributions logits. Each version adds keys to
    those before and takes none away.
    """
    info, claimed = report.info, dict.fromkeys(movement.unit for movement in report.movements)
    document = {
        "schema_version": SCHEMA_VERSION,
        "disclaimer": DISCLAIMER,
        "clip": {
            "path": info.path,
            "fps": info.fps,
            "frames": info.frames,
            "duration_s": info.duration_s,
            "width": info.width,
            "height": info.height,
        },
        "camera_fps": info.camera_fps,
        "window": {"onset_s": report.window_s[0], "offset_s": report.window_s[1]},
        "times_s": report.times_s,
        "moments": [asdict(moment) for moment in report.moments],
        "evidence": None if report.evidence is None else _evidence(report.evidence),
        "checkpoint": {
            "id": report.checkpoint_id,
            "sha256": report.checkpoint_sha256,
            "revision": report.checkpoint_revision,
        },
        "device": report.device,
        "baseline": report.baseline,
        "elapsed_s": report.elapsed_s,
        "summary": report.summary,
        "movement_sentence": report.movement_sentence,
        "movements": [asdict(movement) for movement in report.movements],
        "notes": report.notes,
        "variants": [_variant(variant, claimed) for variant in report.variants],
        "agreement": {
            method: [{"variants": pair, **_agreement(found)} for pair, found in pairs.items()]
            for method, pairs in report.agreement.items()
        },
    }
    return {key: _plain(value) for key, value in document.items()}


def write_json(report: Report, path: Path) -> None:
    """Write ``to_json(report)`` to a file; as ``write_report_text``."""
    write_report_text(json_text(report), path)


def json_text(report: Report) -> str:
    """The text of a report's JSON file."""
    return json.dumps(to_json(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write_report_text(text: str, path: Path) -> None:
    """Write a text file, whole or not at all; its folder is made if need be.

    Raises ``SettingError`` if the file cannot be written.
    """
    try:
        write_text(path, text)
    except OSError as error:
        raise SettingError(f"The report {path} could not be written: {error.strerror or error}.") from error


def _evidence(evidence: Evidence) -> dict[str, Any]:
    return {name: getattr(evidence, name).tolist() for name in ("times_s", "expression", "blink", "speech", "presence")}


def _variant(variant: VariantReport, claimed: Collection[int]) -> dict[str, Any]:
    return {
        "variant": variant.variant,
        "label": variant.label,
        "label_set": variant.label_set,
        "presence": variant.presence if variant.units else None,
        "action_units": {str(unit): {"right": right, "left": left} for unit, (right, left) in variant.units.items()},
        "action_unit_thresholds": {str(unit): value for unit, value in variant.unit_thresholds.items()},
        "action_units_over_time": {
            str(unit): {"right": right, "left": left} for unit, (right, left) in variant.units_over_time.items()
        },
        "probabilities": variant.probabilities,
        "logits": variant.logits,
        "blocks": [_block(block) for block in variant.blocks],
        "outside_blocks": variant.outside_blocks,
        "target": variant.target,
        "difference": variant.difference,
        "pooled": variant.pooled,
        "claimed_units_cosine": claimed_cosines(variant, claimed),
        "trust": {method: _trust(trust) for method, trust in variant.trust.items()},
        "convergence_delta": variant.convergence_delta,
        "block_game": _block_game(variant.block_game) if variant.block_game else None,
    }


def _block_game(game: BlockGame) -> dict[str, Any]:
    return asdict(game) | {"sentence": block_game_sentence(game)}


def _block(block: BlockReport) -> dict[str, Any]:
    return {
        "name": block.name,
        "xyxy": block.xyxy,
        "crop_xyxy": block.crop_xyxy,
        "attention": block.attention,
        "attribution": block.attribution,
        "attribution_over_time": block.attribution_over_time,
        "interval": block.interval,
    }


def _trust(trust: FaithfulnessReport) -> dict[str, Any]:
    values = {field.name: getattr(trust, field.name) for field in fields(trust)}
    values["single_deletion"] = _agreement(trust.single_deletion)
    values["attention"] = _agreement(trust.attention) if trust.attention else None
    # The names that readers of schema version 1 know.
    values["checks"] = [
        {"key": c.key, "passed": c.passed, "says": c.description, "p_value": c.p_value} for c in trust.checks
    ]
    values["trust"] = asdict(trust.trust) if trust.trust else None
    return values | {"sentence": values.pop("summary")}


def _agreement(found: Agreement) -> dict[str, Any]:
    return asdict(found) | {"beyond_chance": found.beyond_chance}


def _plain(value: Any) -> Any:
    """A value with lists in place of tuples, and floats rounded to 6 significant digits."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
