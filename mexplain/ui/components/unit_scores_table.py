"""The table of action units in the tab on trust: how well each is seen, and from which motion on."""

from pathlib import Path

from mexplain.evaluation.unit_tables import BADLY_SEEN_F1, read_unit_tables
from mexplain.simulation.action_units import ACTION_UNITS
from mexplain.ui.text import render_html

_VARIANT = "10"
_KINDS = ("calm", "shifted")


def unit_scores_html(folder: Path, checkpoint_sha256: str) -> str:
    """HTML of the scores of action units beside a checkpoint; empty where they were not measured."""
    tables = read_unit_tables(folder, checkpoint_sha256)
    if not tables or any(_VARIANT not in tables.get(kind, {}) for kind in _KINDS):
        return ""
    calm, shifted = (tables[kind][_VARIANT] for kind in _KINDS)
    return render_html(
        "unit_scores",
        calm=calm,
        shifted=shifted,
        shifted_by_unit={score.unit: score for score in shifted.units},
        names={unit: action_unit.name for unit, action_unit in ACTION_UNITS.items()},
        badly=BADLY_SEEN_F1,
    )
