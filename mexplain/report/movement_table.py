"""The table beside the panel of action units: what moved, when, how far, and whether an attribution looks there."""

from markupsafe import Markup

from mexplain.attribution.registry import METHODS
from mexplain.explain.decision import VARIANT_NAMES
from mexplain.explain.listing import listed
from mexplain.explain.movement_sentence import strength_in_words
from mexplain.face.facs import FACS
from mexplain.face_records import Movement
from mexplain.model.config import NUISANCE_UNITS
from mexplain.records import Report
from mexplain.report.templating import render_markup
from mexplain.report.unit_agreement import UnitAgreement, movement_variant, unit_agreements
from mexplain.report.visuals.plots import percent


def movement_table(report: Report, method: str, *, growing: bool = False) -> Markup:
    """HTML: a row for each movement of a report, the strongest first; empty where nothing was found to move.

    A ``growing`` report is to have the method's attribution later; the table keeps room for it.
    """
    variant = movement_variant(report)
    if not report.movements or variant is None:
        return Markup()
    looks = {agreement.movement: agreement for agreement in unit_agreements(report, method)}
    missing = "not asked" if looks or not growing else "…"
    return render_markup(
        "mexplain.report",
        "movement_table.html",
        rows=[_row(m, _look(looks[m]) if m in looks else missing) for m in report.movements],
        looks=bool(looks) or growing,
        method=METHODS[method].name if looks or growing else "",
        variant=VARIANT_NAMES[variant.variant],
    )


def _row(movement: Movement, look: str) -> dict[str, str | int]:
    words = FACS[movement.unit]
    side: str = movement.side if movement.side != "both" or not words.sided else "both sides"
    if movement.stronger and words.sided:
        side += f", the {movement.stronger} one more"
    times = f"{movement.onset_s:.2f} to {movement.offset_s:.2f} s, furthest at {movement.apex_s:.2f} s"
    return {
        "name": f"{words.name[0].upper()}{words.name[1:]}",
        "unit": movement.unit,
        "muscles": words.muscles,
        "side": side if words.sided else "middle",
        "when": times,
        "size": "" if movement.unit in NUISANCE_UNITS else strength_in_words(movement.size_iod),
        "look": look,
    }


def _look(look: UnitAgreement) -> str:
    return f"{percent(look.share)} lies in {listed(look.blocks)} (spread evenly: {percent(look.even)}): {look.words}"
