"""Contents of the first tab's results: three columns of answer, film, blocks over time and tests."""

import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from mexplain.attribution.registry import METHODS
from mexplain.errors import MexplainError
from mexplain.explain.decision import alternatives
from mexplain.language.current import in_this_language, language
from mexplain.language.message import percent, text
from mexplain.model.device import give_memory_back, is_busy, step_back
from mexplain.records import NONE, AlignedClip, Report, VariantReport
from mexplain.report import wording
from mexplain.report.visuals.animation import AnimationOptions, heatmap_animation
from mexplain.report.visuals.heatmap_overlay import Quantity
from mexplain.report.visuals.motion_magnification import magnified_animation
from mexplain.report.visuals.plots import block_time_heatmap
from mexplain.ui.components.common import animation_html
from mexplain.ui.server.gradio_compat import session_exists
from mexplain.ui.server.logs import LOG
from mexplain.ui.session import Session, keep
from mexplain.ui.text import WORDS, render_html

BLOCKS, PIXELS = "blocks", "pixels"
OPACITY_STEP = 25  # per cent; few enough to be drawn ahead
_MAX_FILMS = 60


@dataclass(frozen=True)
class View:
    """How results are shown; no change of it needs the network.

    ``quantity`` is "attribution" or "attention", ``grain`` "blocks" or "pixels", ``opacity`` 0..100 %.
    """

    quantity: Quantity = "attribution"
    grain: str = BLOCKS
    magnitude: bool = False
    opacity: float = 100.0


def verdict(variant: VariantReport) -> str:
    """A variant's answer, its probability, the labels it cannot rule out, and the action units it saw."""
    found = variant.label != NONE
    label = max(variant.probabilities, key=variant.probabilities.__getitem__) if found else variant.target
    share, others = percent(variant.probabilities[label]), alternatives(variant)
    answer = render_html("verdict", found=found, label=label, share=share, alternatives=others)
    # A network of one's own says nothing of action units, nor of presence.
    return answer + wording.presence(variant) if variant.units else answer


def shown(variant: VariantReport, view: View, method: str) -> Quantity | None:
    """Quantity that a column can show by now: attention until the attribution is there; None where there is nothing."""
    if view.quantity == "attribution" and method in variant.maps:
        return "attribution"
    if any(block.attention is not None for block in variant.blocks):
        return "attention"
    return "attribution" if method in variant.maps else None


def films(session: Session, view: View, variants: list[str]) -> dict[str, str]:
    """HTML of the films of some variants, by variant; empty where nothing has been explained."""
    report, prediction, method = session.report, session.prediction, session.method
    if report is None or prediction is None:
        return {}
    face, drawn = prediction.display, session.drawn
    chosen = [variant for variant in report.variants if variant.variant in variants]
    # Painting and encoding leave Python's lock alone most of the time.
    with ThreadPoolExecutor(2) as pool:
        drawings = pool.map(in_this_language(lambda v: film(v, face, view, method, drawn)), chosen)
        return dict(zip([variant.variant for variant in chosen], drawings, strict=True))


def draw_ahead(session: Session, view: View) -> None:
    """Draw the films that one more click would ask for, in a thread, unless the machine is busy."""
    drawn, visitor_exists = session.drawn, session_exists()
    other: Quantity = "attention" if view.quantity == "attribution" else "attribution"
    finer = PIXELS if view.grain == BLOCKS else BLOCKS
    views = [replace(view, quantity=other), replace(view, grain=finer), replace(view, magnitude=not view.magnitude)]
    views += [replace(view, opacity=float(opacity)) for opacity in range(100 - OPACITY_STEP, -1, -OPACITY_STEP)]

    def draw() -> None:
        step_back()
        try:
            for next_view in views:
                # Another report has another ``drawn``.
                if visitor_exists() and session.drawn is drawn and session.report is not None and not is_busy():
                    films(session, next_view, [variant.variant for variant in session.report.variants])
        except MexplainError:
            pass  # whoever clicks is told
        except Exception as error:
            LOG.error("Films could not be drawn ahead", exc_info=error)
        give_memory_back()

    # No daemon: when the hub ends, it must not be cut off in the middle of a film.
    threading.Thread(target=draw).start()


def film(
    variant: VariantReport, face: AlignedClip, view: View, method: str, drawn: OrderedDict[tuple[Any, ...], str]
) -> str:
    """HTML of one variant's film, the key to its numbers, and a note if it shows another quantity than asked for.

    Films in ``drawn`` are not drawn again; new ones are added to it.
    """
    quantity = shown(variant, view, method)
    if quantity is None:
        return render_html("paragraph", kind="wait", sentence=WORDS["waiting"])
    grain = BLOCKS if quantity == "attribution" and view.grain == BLOCKS else PIXELS
    options = AnimationOptions(
        "attention" if quantity == "attention" else grain, method, view.magnitude, view.opacity / 100
    )
    key = (variant.variant, options, language())
    player = drawn.get(key) or animation_html(heatmap_animation(variant, face, options))
    keep(drawn, key, player, _MAX_FILMS)
    note = ""
    if quantity != view.quantity:
        sentence = WORDS["no_attention" if quantity == "attribution" else "meanwhile"]
        note = render_html("paragraph", kind="meanwhile", sentence=sentence)
    return player + legend_key(variant, quantity, method) + note


def legend_key(variant: VariantReport, quantity: Quantity, method: str) -> Markup:
    """Key to the numbers in a picture, as a list."""
    blocks = wording.strongest_blocks(variant, quantity, method)
    if not blocks:
        return render_html("paragraph", kind="key", sentence=WORDS["no_difference"])
    return render_html("block_key", blocks=blocks)


def heatmap(report: Report, variant: VariantReport, view: View, method: str) -> Any | None:
    """Figure of one variant's blocks over time; None where there is nothing to show yet."""
    quantity = shown(variant, view, method)
    if quantity is None:
        return None
    return block_time_heatmap(report, variant, quantity, method, magnitude=view.magnitude)


def checked(variant: VariantReport, method: str) -> str:
    """Results of the tests of one variant's explanation, once they are known."""
    results = wording.trust(variant, method, folded=True) if method in variant.trust else None
    return render_html("trust", results=results, waiting=WORDS["testing"])


def bars(variant: VariantReport) -> str:
    """Bars of the probability of each class, in the network's order so that variants compare."""
    return render_html("probabilities", variant=variant)


def made_with(report: Report) -> str:
    """Weights, device and time behind a result."""
    (start, end), seconds = report.window_s, sum(report.elapsed_s.values())
    weights: str = report.checkpoint_id
    if report.checkpoint_sha256:
        weights = f"{weights}, sha256 {report.checkpoint_sha256[:8]}"
    made = text(
        "{start:.2f} to {end:.2f} s of the clip · {frames} frames · weights: {weights} · device: {device} · worked out "
        "in {seconds:.1f} s",
        start=start,
        end=end,
        frames=len(report.times_s),
        weights=weights,
        device=report.device,
        seconds=seconds,
    )
    return render_html("made_with", sentence=made)


def legend(view: View, method: str = "integrated_gradients") -> str:
    """Meaning of the colours."""
    if view.quantity == "attention":
        return render_html("legend_attention")
    if view.magnitude or not METHODS[method].signed:
        return render_html("legend_magnitude", unit=METHODS[method].unit)
    return render_html("legend_attribution", unit=METHODS[method].unit)


def exaggerated(session: Session | None) -> str:
    """Film of the latest clip with its motion magnified; empty where nothing has been explained."""
    if session is None or session.prediction is None:
        return ""
    return animation_html(magnified_animation(session.prediction.display, session.prediction.crop_iod))
