"""Reports as tables for a spreadsheet or a script: comma-separated values, a header line, UTF-8."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mexplain.attribution.check import count_passed
from mexplain.explain.movements import UNIT_THRESHOLD
from mexplain.records import Report, VariantReport

# What each column holds; METHOD and LABEL stand for each method that was run and each class, a column each.
BLOCK_COLUMNS: dict[str, str] = {
    "clip": "name of the file",
    "variant": "24, 10 or uncropped (whose attributions are added up in the ten blocks)",
    "block": "its name; left and right are the subject's own",
    "x0": "left edge, in pixels of the file, at the onset",
    "y0": "upper edge",
    "x1": "right edge",
    "y1": "lower edge",
    "attention_mean": "attention weight, 0 to 1, mean over the frames; empty where the variant computes none",
    "attention_most": "the largest attention weight in any frame",
    "METHOD": "attribution for the class explained, summed over the frames, in the method's unit (logits for most)",
}
# AUnn stands for each action unit by two digits, as in OpenFace's tables, a column each.
UNIT_COLUMNS: dict[str, str] = {
    "clip": "name of the file",
    "variant": "24, 10 or uncropped",
    "frame": "number of the frame that the network saw, from 1",
    "timestamp": "when it is shown, in seconds of the file",
    "AUnn_r": "how far the action unit has got since the first frame, 0 to 5, on the side where it is further; five "
    "times its activation in JSON, on the scale that OpenFace writes, but of its own way, not of FACS A to E",
    "AUnn_right_r": "the same on the subject's right",
    "AUnn_left_r": "the same on the subject's left",
    "AUnn_c": "1 where it counts as moving on either side: its activation reaches the variant's threshold; else 0",
    "AUnn_right_c": "the same on the subject's right",
    "AUnn_left_c": "the same on the subject's left",
}
_FULL = 5.0  # the largest intensity in OpenFace's tables
VARIANT_COLUMNS: dict[str, str] = {
    "clip": "name of the file",
    "onset_s": "first frame explained, in seconds of the file",
    "offset_s": "last frame explained",
    "variant": "24, 10 or uncropped",
    "label": 'its answer; "none" where there is no more evidence of an expression than in clips without one',
    "presence": "probability that there is an expression, 0 to 1, calibrated",
    "summary": "what is said of the clip in a sentence, the same for all variants",
    "movements": "which parts of the face moved, on which side, when and how far, and whether the answer rests on them",
    "target": "the class explained",
    "baseline": "what the clip was compared with",
    "p_LABEL": "probability of the class, 0 to 1, calibrated",
    "logit_LABEL": "the network's number for the class",
    "METHOD_difference": "logit of the class explained, less that of the baseline",
    "METHOD_outside": "attribution that fell on no block",
    "METHOD_deletion": "mean probability while the highest-scoring blocks are held still one by one (low is good)",
    "METHOD_insertion": "mean probability while only they are let move (high is good)",
    "METHOD_checks_passed": "how many of the checks of this explanation it passed",
    "METHOD_checks": "how many of them apply to it",
    "weights_sha256": "which weights",
    "device": "where it ran",
    "seconds": "how long it took, all variants together",
}


def blocks_csv(reports: Sequence[Report]) -> str:
    """CSV with a row for each block of each variant of each report; ``BLOCK_COLUMNS`` explains the columns."""
    methods = _methods(reports)
    rows = []
    for report in reports:
        for variant in report.variants:
            for block in variant.blocks:
                weights = block.attention or ()
                row: dict[str, Any] = {"clip": _name(report), "variant": variant.variant, "block": block.name}
                row |= dict(zip(("x0", "y0", "x1", "y1"), block.xyxy, strict=True))
                if weights:
                    row |= {"attention_mean": sum(weights) / len(weights), "attention_most": max(weights)}
                rows.append(row | block.attribution)
    return csv_table([name for name in BLOCK_COLUMNS if name != "METHOD"] + methods, rows)


def units_csv(reports: Sequence[Report]) -> str:
    """CSV with a row for each frame of each variant of each report; ``UNIT_COLUMNS`` explains the columns."""
    units = list(dict.fromkeys(unit for r in reports for v in r.variants for unit in v.units_over_time))
    columns = [
        column.replace("nn", f"{unit:02d}")
        for column in UNIT_COLUMNS
        for unit in (units if column.startswith("AUnn") else units[:1])
    ]
    return csv_table(columns, [row for report in reports for v in report.variants for row in _unit_rows(report, v)])


def variants_csv(reports: Sequence[Report]) -> str:
    """CSV with a row for each variant of each report; ``VARIANT_COLUMNS`` explains the columns."""
    methods = _methods(reports)
    labels = list(dict.fromkeys(label for r in reports for v in r.variants for label in v.probabilities))
    columns = [column for name in VARIANT_COLUMNS for column in _columns(name, methods, labels)]
    return csv_table(columns, [_variant_row(report, variant) for report in reports for variant in report.variants])


def csv_table(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    """CSV of rows under ``columns``; a value that a row lacks stays empty.

    Numbers have six significant digits. Text that a spreadsheet would run as a formula is kept from it by a quote.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def columns_in_words() -> str:
    """Text that explains each column of the tables, a line each."""
    parts = []
    for title, columns in (
        ("blocks.csv", BLOCK_COLUMNS),
        ("variants.csv", VARIANT_COLUMNS),
        ("units.csv", UNIT_COLUMNS),
    ):
        parts.append("\n".join([title, *(f"  {name}: {says}" for name, says in columns.items())]))
    return "\n\n".join(parts) + "\n"


def _variant_row(report: Report, variant: VariantReport) -> dict[str, Any]:
    row: dict[str, Any] = {
        "clip": _name(report),
        "onset_s": report.window_s[0],
        "offset_s": report.window_s[1],
        "variant": variant.variant,
        "label": variant.label,
        "presence": variant.presence,
        "summary": report.summary,
        "movements": report.movement_sentence,
        "target": variant.target or variant.label,
        "baseline": report.baseline,
        "weights_sha256": report.checkpoint_sha256,
        "device": report.device,
        "seconds": float(sum(report.elapsed_s.values())),
    }
    row |= {f"p_{label}": value for label, value in variant.probabilities.items()}
    row |= {f"logit_{label}": value for label, value in variant.logits.items()}
    row |= {f"{method}_difference": value for method, value in variant.difference.items()}
    row |= {f"{method}_outside": value for method, value in variant.outside_blocks.items()}
    for method, trust in variant.trust.items():
        row |= {f"{method}_deletion": trust.deletion_auc, f"{method}_insertion": trust.insertion_auc}
        passed, applying = count_passed(trust.checks)
        row |= {f"{method}_checks_passed": passed, f"{method}_checks": applying}
    return row


def _unit_rows(report: Report, variant: VariantReport) -> Iterator[dict[str, Any]]:
    for number, time_s in enumerate(report.times_s):
        row: dict[str, Any] = {"clip": _name(report), "variant": variant.variant}
        row |= {"frame": number + 1, "timestamp": time_s}
        for unit, (rights, lefts) in variant.units_over_time.items():
            right, left = rights[number], lefts[number]
            for side, got in (("", max(right, left)), ("_right", right), ("_left", left)):
                row[f"AU{unit:02d}{side}_r"] = _FULL * got
                row[f"AU{unit:02d}{side}_c"] = int(got >= variant.unit_thresholds.get(unit, UNIT_THRESHOLD))
        yield row


def _columns(name: str, methods: Sequence[str], labels: Sequence[str]) -> list[str]:
    if "METHOD" in name:
        return [name.replace("METHOD", method) for method in methods]
    return [name.replace("LABEL", label) for label in labels] if "LABEL" in name else [name]


def _methods(reports: Sequence[Report]) -> list[str]:
    return list(dict.fromkeys(method for r in reports for v in r.variants for method in v.outside_blocks))


def _name(report: Report) -> str:
    return Path(report.info.path).name


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
