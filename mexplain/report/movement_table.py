"""The table beside the panel of action units: what moved, when, how far, and whether an attribution looks there."""

from markupsafe import Markup

from mexplain.attribution.registry import METHODS
from mexplain.explain.decision import VARIANT_NAMES
from mexplain.explain.movement_sentence import strength_in_words
from mexplain.face.facs import FACS
from mexplain.language.listing import listed
from mexplain.language.message import Sentence, percent, text
from mexplain.model.config import NUISANCE_UNITS
from mexplain.records import Report
from mexplain.records.face import Movement
from mexplain.report.templating import render_markup
from mexplain.report.unit_agreement import UnitAgreement, movement_variant, unit_agreements


def movement_table(report: Report, method: str, *, growing: bool = False) -> Markup:
    """HTML: a row for each movement of a report, the strongest first; empty where nothing was found to move.

    A ``growing`` report is to have the method's attribution later; the table keeps room for it.
    """
    variant = movement_variant(report)
    if not report.movements or variant is None:
        return Markup()
    looks = {agreement.movement: agreement for agreement in unit_agreements(report, method)}
    missing = text("not asked") if looks or not growing else "…"
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
    times = text(
        "{onset:.2f} to {offset:.2f} s, furthest at {apex:.2f} s",
        onset=movement.onset_s,
        offset=movement.offset_s,
        apex=movement.apex_s,
    )
    return {
        "name": Sentence(words.name),
        "unit": movement.unit,
        "muscles": words.muscles,
        "side": _side(movement) if words.sided else text("middle"),
        "when": times,
        "size": "" if movement.unit in NUISANCE_UNITS else strength_in_words(movement.size_iod),
        "look": look,
    }


def _look(look: UnitAgreement) -> str:
    return text(
        "{share} lies in {blocks} (spread evenly: {even}): {words}",
        share=percent(look.share),
        blocks=listed(look.blocks),
        even=percent(look.even),
        words=look.words,
    )


def _side(movement: Movement) -> str:
    sides = {"left": text("left"), "right": text("right"), "both": text("both sides")}
    if movement.stronger == "left":
        return text("{side}, the left one more", side=sides[movement.side])
    if movement.stronger == "right":
        return text("{side}, the right one more", side=sides[movement.side])
    return sides[movement.side]
