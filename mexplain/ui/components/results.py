"""What the results of the first tab show: three columns of answer, film, blocks over time and trust."""

import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from mexplain.attribution.registry import METHODS
from mexplain.errors import MexplainError
from mexplain.model.device import give_memory_back, is_busy, step_back
from mexplain.records import NONE, AlignedClip, Report, VariantReport
from mexplain.report import wording
from mexplain.report.visuals.animation import AnimationOptions, heatmap_animation
from mexplain.report.visuals.heatmap_overlay import Quantity, top_blocks
from mexplain.report.visuals.motion_magnification import magnified_animation
from mexplain.report.visuals.plots import block_time_heatmap, percent, probability_bars
from mexplain.ui.components.common import WORDS, animation_html, text
from mexplain.ui.server.gradio_compat import session_exists
from mexplain.ui.server.logs import LOG
from mexplain.ui.session import Session, keep

BLOCKS, PIXELS = "blocks", "pixels"
OPACITY_STEP = 25  # per cent; few enough to be drawn ahead
_MOST_DRAWN = 36


@dataclass(frozen=True)
class View:
    """How results are looked at: none of it asks the network again.

    ``quantity`` is "attribution" or "attention", ``grain`` "blocks" or "pixels", ``opacity`` 0..100 %.
    """

    quantity: Quantity = "attribution"
    grain: str = BLOCKS
    magnitude: bool = False
    opacity: float = 100.0


def verdict(variant: VariantReport) -> str:
    """Return what a variant answers, how sure it is, and which muscles it saw."""
    name, share = escape(variant.target), escape(percent(variant.probabilities[variant.target]))
    if variant.label == NONE:
        words = f"<strong>none found</strong> <span>likeliest: {name}, {share}</span>"
    else:
        likeliest = max(variant.probabilities, key=variant.probabilities.__getitem__)
        words = f"<strong>{escape(likeliest)}</strong> <span>{escape(percent(variant.probabilities[likeliest]))}</span>"
    return f"<p class='verdict'>{words}</p>{wording.presence(variant)}"


def shown(variant: VariantReport, view: View, method: str) -> Quantity | None:
    """Return what a column can show by now: attention until the attribution is there; None where there is nothing."""
    if view.quantity == "attribution" and method in variant.maps:
        return "attribution"
    if variant.variant != "uncropped":
        return "attention"
    return "attribution" if method in variant.maps else None


def films(session: Session, view: View, variants: list[str]) -> dict[str, str]:
    """Return the films of some variants with what they show, for an HTML page."""
    report, reading, method = session.report, session.reading, session.asked.method
    if report is None or reading is None:
        return {}
    face, drawn = reading.display, session.drawn
    chosen = [variant for variant in report.variants if variant.variant in variants]
    # Painting and encoding leave Python's lock alone most of the time.
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(variants, pool.map(lambda v: film(v, face, view, method, drawn), chosen), strict=True))


def draw_ahead(session: Session, view: View) -> None:
    """Draw, beside whatever else is done, the films that one more click would ask for, unless the machine is busy."""
    drawn, here = session.drawn, session_exists()
    other: Quantity = "attention" if view.quantity == "attribution" else "attribution"
    finer = PIXELS if view.grain == BLOCKS else BLOCKS
    views = [replace(view, quantity=other), replace(view, grain=finer), replace(view, magnitude=not view.magnitude)]
    views += [replace(view, opacity=float(opacity)) for opacity in range(100 - OPACITY_STEP, -1, -OPACITY_STEP)]

    def draw() -> None:
        step_back()
        try:
            for one in views:
                # Else something else is explained by now, or nobody is there to see it.
                if here() and session.drawn is drawn and session.report is not None and not is_busy():
                    films(session, one, [variant.variant for variant in session.report.variants])
        except MexplainError:
            pass  # whoever clicks is told
        except Exception as error:
            LOG.error("Films could not be drawn ahead", exc_info=error)
        give_memory_back()

    # No daemon: when the hub ends, it must not be cut off in the middle of a film.
    threading.Thread(target=draw).start()


def film(variant: VariantReport, face: AlignedClip, view: View, method: str, drawn: OrderedDict[tuple, str]) -> str:
    """Return one variant's film, the key to its numbers, and what it is if it is not what was asked for.

    What is in ``drawn`` is not drawn again.
    """
    quantity = shown(variant, view, method)
    if quantity is None:
        return f"<p class='wait'>{WORDS['waiting']}</p>"
    grain = BLOCKS if quantity == "attribution" and view.grain == BLOCKS else PIXELS
    look = AnimationOptions(
        "attention" if quantity == "attention" else grain, method, view.magnitude, view.opacity / 100
    )
    told = "" if quantity == view.quantity else WORDS["no_attention" if quantity == "attribution" else "meanwhile"]
    note = f"<p class='meanwhile'>{told}</p>" if told else ""
    place = (variant.variant, look)
    picture = drawn.get(place) or animation_html(heatmap_animation(variant, face, look))
    keep(drawn, place, picture, _MOST_DRAWN)
    return picture + legend_key(variant, quantity, method) + note


def legend_key(variant: VariantReport, quantity: Quantity, method: str) -> str:
    """Return the key to the numbers in a picture, as a list."""
    sign = "+" if quantity == "attribution" and METHODS[method].signed else ""
    lines = [
        f"<li>{escape(block.name)} <b>{value:{sign}.3g}</b></li>"
        for block, value in top_blocks(variant, quantity, method)
    ]
    return f"<ol class='key'>{''.join(lines)}</ol>" if lines else f"<p class='key'>{WORDS['no_difference']}</p>"


def heatmap(report: Report, variant: VariantReport, view: View, method: str) -> Any | None:
    """Return one variant's blocks over time, or None where there is nothing to show yet."""
    quantity = shown(variant, view, method)
    if quantity is None:
        return None
    return block_time_heatmap(report, variant, quantity, method, magnitude=view.magnitude)


def checked(variant: VariantReport, method: str) -> str:
    """Return what one variant's explanation was put to, once that is known."""
    told = wording.trust(variant, method) if method in variant.trust else f"<p class='wait'>{WORDS['testing']}</p>"
    return f"<h4>How far to trust it</h4>{told}"


def bars(variant: VariantReport) -> Any:
    """Return the probability of each class."""
    return probability_bars(variant)


def made_with(report: Report) -> str:
    """Return what made this result: weights, device and time."""
    (start, end), seconds = report.window_s, sum(report.elapsed_s.values())
    return escape(
        f"{start:.2f} to {end:.2f} s of the clip · {len(report.times_s)} frames · weights: {report.checkpoint_id}, "
        f"sha256 {report.checkpoint_sha256[:8]} · device: {report.device} · worked out in {seconds:.1f} s"
    )


def legend(view: View, method: str = "integrated_gradients") -> str:
    """Return what the colours mean."""
    if view.quantity == "attention":
        return text("legend_attention")
    if view.magnitude or not METHODS[method].signed:
        return text("legend_magnitude", unit=METHODS[method].unit)
    return text("legend_attribution", unit=METHODS[method].unit)


def exaggerated(session: Session | None) -> str:
    """Return the film of the latest clip with its motion made large enough to be seen."""
    if session is None or session.reading is None:
        return ""
    crop_iod = session.reading.checkpoint.model.config.crop_iod
    return animation_html(magnified_animation(session.reading.display, crop_iod))
