"""The hub: a clip goes in, three explained answers come out. Layout and handlers only; the work is in ``mexplain``."""

import json
import os
import signal
import sys
import tempfile
from dataclasses import replace
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # gradio reads it when it is imported

import gradio as gr
from PIL import Image

from mexplain import prose
from mexplain.baselines import BASELINES
from mexplain.checkpoints import SHIPPED, Checkpoint, load_checkpoint
from mexplain.errors import MexplainError
from mexplain.explain import explain
from mexplain.figures import block_time_heatmap, evidence_curve, in_a_sentence, percent, probability_bars
from mexplain.methods import METHODS
from mexplain.overlay import attention_face, attribution_face, pixel_face, top_blocks
from mexplain.report import DISCLAIMER
from mexplain.scorecard.figure import scorecard_figure
from mexplain.scorecard.table import Scorecard, markdown, read_scorecard
from mexplain.search import MARGIN_S
from mexplain.types import NONE, Report, VariantReport
from mexplain.video import read_clip

HERE = Path(__file__).resolve().parent
ASSETS, SAMPLES = HERE / "assets", HERE / "samples"
CHECKPOINT = os.environ.get("MEXPLAIN_CHECKPOINT", "")
MAX_UPLOAD, MAX_QUEUE, SWEEP_S, KEEP_S = "200mb", 20, 30, 540
WORDS: dict[str, Any] = json.loads((ASSETS / "words.json").read_text(encoding="utf-8"))


@cache
def checkpoint() -> Checkpoint:
    """Return the network, loaded once: the shipped one, or what ``MEXPLAIN_CHECKPOINT`` names."""
    return load_checkpoint(CHECKPOINT or SHIPPED)


@cache
def scorecard() -> Scorecard | None:
    """Return how well each method did with these weights, if that was measured."""
    try:
        return read_scorecard(checkpoint().folder, checkpoint().sha256)
    except MexplainError:
        return None  # what is wrong with the weights is said when they are used


def about(method: str, baseline: str) -> str:
    """Return what there is to know of a method before its picture is looked at."""
    return prose.about_method(method, baseline, scorecard())


def text(name: str) -> str:
    """Return one of the page's texts."""
    return (ASSETS / name).read_text(encoding="utf-8")


def show(
    clip: str | None,
    start_s: float | None,
    end_s: float | None,
    method: str,
    baseline: str,
    thorough: bool,
    known: Report | None = None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
) -> list[Any]:
    """Explain a clip and return what every part of the results shows, in the order of ``build``'s outputs.

    ``known`` is a report on the same clip whose moments need not be looked for again.
    """
    if not clip:
        raise gr.Error(WORDS["no_clip"], title="No clip", print_exception=False)

    def tell(stage: str, share: float) -> None:
        progress(share, desc=WORDS["stages"].get(stage, WORDS["stages"]["attribute"]))

    try:
        report = explain(
            clip,
            checkpoint(),
            methods=(method,),
            baseline=baseline,
            thorough=thorough,
            start_s=start_s,
            end_s=end_s,
            progress=tell,
        )
    except MexplainError as error:
        raise gr.Error(escape(str(error)), title=WORDS["unexplained"], duration=20, print_exception=False) from error
    if known is not None:
        report = replace(report, moments=known.moments, evidence=known.evidence)
    notes = [f"<p class='note'>{escape(note)}</p>" for note in report.notes]
    answer = f"<h2>{escape(in_a_sentence(report))}</h2>{''.join(notes)}"
    parts = [part for variant in report.variants for part in column(report, variant, method)]
    top = [gr.Column(visible=True), report, answer, made_with(report), about(method, baseline)]
    top += [prose.agreement(report, method), *moments(report)]
    return [*top, *parts, "attention", *heatmaps(report, "attention")]


def show_moment(
    clip: str | None,
    number: int | None,
    known: Report | None,
    method: str,
    baseline: str,
    thorough: bool,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
) -> list[Any]:
    """Explain another moment of a clip that was searched before."""
    if known is None or number is None or number >= len(known.moments):
        raise gr.Error(WORDS["expired"], title="No longer here", print_exception=False)
    moment = known.moments[number]
    start, end = max(moment.onset_s - MARGIN_S, 0), moment.offset_s + MARGIN_S
    return show(clip, start, end, method, baseline, thorough, known, progress)


def moments(report: Report) -> list[Any]:
    """Return the part that shows where in the clip something happens, or hides it where nobody looked."""
    if report.evidence is None:
        return [gr.Column(visible=False), None, gr.Radio(choices=[], value=None)]
    middle = sum(report.window_s) / 2
    inside = (n for n, moment in enumerate(report.moments) if moment.onset_s <= middle <= moment.offset_s)
    choices = gr.Radio(prose.moment_choices(report), value=next(inside, None), visible=bool(report.moments))
    return [gr.Column(visible=True), evidence_curve(report), choices]


def column(report: Report, variant: VariantReport, method: str) -> list[Any]:
    """Return what one column shows above its heatmap: verdict, bars, two faces with a caption each, trust."""
    name, share = escape(variant.target), escape(percent(variant.probabilities[variant.target]))
    if variant.label == NONE:
        verdict = f"<p class='verdict'><strong>none found</strong> <span>likeliest: {name}, {share}</span></p>"
    else:
        verdict = f"<p class='verdict'><strong>{name}</strong> <span>{share}</span></p>"
    verdict += prose.presence(variant)
    pushed, pushed_key = attribution_face(report, variant, method), key(variant, "attribution", method)
    if variant.variant == "uncropped":
        looked, looked_key = pixel_face(report, variant, method), text("no_attention.html").replace("{label}", name)
        pushed_key += f"<p>{WORDS['added_up']}</p>"
    else:
        looked, looked_key = attention_face(report, variant), key(variant, "attention", method)
    checked = prose.trust(variant, method)
    return [verdict, probability_bars(variant), looked, looked_key, pushed, pushed_key, checked]


def key(variant: VariantReport, quantity: str, method: str) -> str:
    """Return the key to the numbers in a picture, as a list."""
    sign = "+" if quantity == "attribution" and METHODS[method].signed else ""
    top = top_blocks(variant, quantity, method)  # type: ignore[arg-type]
    lines = [f"<li>{escape(block.name)} <b>{value:{sign}.3g}</b></li>" for block, value in top]
    return f"<ol>{''.join(lines)}</ol>" if lines else f"<p>{WORDS['no_difference']}</p>"


def made_with(report: Report) -> str:
    """Return what made this result: weights, device and time."""
    (start, end), seconds = report.window_s, sum(report.elapsed_s.values())
    return escape(
        f"{start:.2f} to {end:.2f} s of the clip · {len(report.times_s)} frames · weights: {report.checkpoint_id}, "
        f"sha256 {report.checkpoint_sha256[:8]} · device: {report.device} · worked out in {seconds:.1f} s"
    )


def heatmaps(report: Report | None, quantity: str) -> list:
    """Return the three block x time heatmaps, with attribution where a variant has no attention."""
    if report is None:
        raise gr.Error(WORDS["expired"], title="No longer here", print_exception=False)
    chosen = {"uncropped": "attribution"}
    return [
        block_time_heatmap(report, v, chosen.get(v.variant, quantity), next(iter(v.maps)))  # type: ignore[arg-type]
        for v in report.variants
    ]


def samples(folder: Path) -> list[tuple[Path, str, Path]]:
    """Return the sample clips with their captions and a picture of each, which is written into ``folder``."""
    found = []
    for name, caption in json.loads((SAMPLES / "samples.json").read_text(encoding="utf-8")).items():
        frames, picture = read_clip(SAMPLES / name).frames, folder / f"{name}.jpg"
        Image.fromarray(frames[len(frames) // 2]).resize((288, 288)).save(picture, quality=88)
        found.append((SAMPLES / name, caption, picture))
    return found


def build(pictures: Path) -> gr.Blocks:
    """Lay out the page; ``pictures`` is a folder for those of the samples."""
    gr.set_static_paths([SAMPLES, pictures])
    with gr.Blocks(title="mexplain", analytics_enabled=False, delete_cache=(SWEEP_S, KEEP_S)) as page:
        gr.HTML(text("intro.html").replace("{disclaimer}", escape(DISCLAIMER)), elem_id="intro")
        with gr.Row(elem_id="input"):
            with gr.Column(min_width=300):
                webcam = gr.WebcamOptions(mirror=False)  # a mirrored face would swap left and right
                clip = gr.Video(label="A clip of a face", webcam_options=webcam, height=320)
                gr.HTML(text("clip.html"))
                with gr.Accordion("Only a part of the clip", open=False), gr.Row():
                    start_s = gr.Number(None, label="From (seconds)", minimum=0, step=0.1, min_width=120)
                    end_s = gr.Number(None, label="To (seconds)", minimum=0, step=0.1, min_width=120)
                with gr.Accordion("How to explain", open=False):
                    method = gr.Dropdown(prose.method_choices(), value="integrated_gradients", label="Method")
                    against = [(baseline.name, baseline.key) for baseline in BASELINES.values()]
                    baseline = gr.Dropdown(against, value="onset", label="Compared with")
                    told = gr.HTML(about("integrated_gradients", "onset"), elem_classes="about")
                    thorough = gr.Checkbox(
                        label="Also check whether a little noise changes it (takes three times as long)"
                    )
                go = gr.Button("Explain", variant="primary", size="lg", elem_id="explain")
            with gr.Column(min_width=300, elem_id="samples"):
                gr.HTML(text("samples.html"))
                with gr.Row():
                    chosen = [
                        (gr.Button(caption, icon=picture, elem_classes="sample", min_width=120), str(path))
                        for path, caption, picture in samples(pictures)
                    ]
        status = gr.HTML(elem_id="status")
        with gr.Column(visible=False, elem_id="results") as results:
            answer = gr.HTML(elem_id="answer")
            with gr.Column(visible=False, elem_id="moments") as where:
                gr.HTML(text("moments.html"))
                curve = gr.Plot(show_label=False, container=False, elem_classes="curve")
                picked = gr.Radio([], label="Moments found; choose one to explain it", elem_id="picked")
            rows = [columns(section) for section in ("decided", "looked")]
            gr.HTML(text("pushed.html"))
            used = gr.HTML(elem_classes="about", elem_id="used")
            rows.append(columns("pushed"))
            gr.HTML(text("trust.html"))
            agree = gr.HTML(elem_classes="about", elem_id="agreement")
            rows.append(columns("trust"))
            gr.HTML(text("when.html"))
            choices = [("Where it looked", "attention"), ("What pushed the answer", "attribution")]
            quantity = gr.Radio(choices, value="attention", show_label=False, container=False, elem_id="quantity")
            plots = [plot for (plot,) in columns("when")]
            gr.HTML(text("custom_weights.html" if CHECKPOINT else "shipped_weights.html"), elem_id="weights")
            foot = gr.HTML(elem_id="made_with")
        if card := scorecard():
            with gr.Column(elem_id="scorecard"):
                counts = {"clips": card.clips, "people": card.people}
                gr.HTML(text("scorecard.html").format(**counts))
                gr.Plot(scorecard_figure(card, "10"), show_label=False, container=False)
                with gr.Accordion("All numbers, all variants", open=False):
                    gr.Markdown(markdown(card).partition("\n")[2])
        state = gr.State(None, time_to_live=KEEP_S)

        parts = [part for variant in zip(*rows, strict=True) for section in variant for part in section]
        asked = [clip, start_s, end_s, method, baseline, thorough]
        outputs = [results, state, answer, foot, used, agree, where, curve, picked, *parts, quantity, *plots]
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        starts = [go.click(lambda: gr.Column(visible=False), None, results, **quiet)]
        for button, path in chosen:
            sample = (path, None, None, gr.Column(visible=False))
            starts.append(button.click(lambda sample=sample: sample, None, [clip, start_s, end_s, results], **quiet))
        slow: dict[str, Any] = {"show_progress_on": status, "concurrency_limit": 1, "concurrency_id": "explain"}
        for start in starts:
            done = start.then(show, asked, outputs, api_visibility="private", **slow)
            done.success(None, js="() => document.getElementById('results').scrollIntoView()", **quiet)
        again = [clip, picked, state, method, baseline, thorough]
        picked.input(show_moment, again, outputs, api_visibility="private", **slow)
        gr.on([method.change, baseline.change], about, [method, baseline], told, **quiet)
        quantity.input(heatmaps, [state, quantity], plots, show_progress="minimal", api_visibility="private")
    return page.queue(max_size=MAX_QUEUE)


def columns(section: str) -> list[list[Any]]:
    """Lay out a section's three columns; return for each an HTML and plot, a picture and HTML, an HTML, or a plot."""
    if section in ("decided", "looked"):
        gr.HTML(text(f"{section}.html"))
    made: list[list[Any]] = []
    with gr.Row(elem_classes="columns"):
        for title, subtitle in WORDS["titles"].items():
            with gr.Column(min_width=300, elem_classes="part"):
                gr.HTML(f"<h4>{title}</h4>" + (f"<p>{subtitle}</p>" if section == "decided" else ""))
                if section in WORDS["alt"]:
                    alt = f"{WORDS['alt'][section]}, {title}"
                    picture = gr.Image(show_label=False, container=False, buttons=[], alt_text=alt)
                    made.append([picture, gr.HTML(elem_classes="key")])
                elif section == "trust":
                    made.append([gr.HTML(elem_classes="checked")])
                else:
                    verdict = [gr.HTML()] if section == "decided" else []
                    kind = "bars" if verdict else "times"
                    made.append([*verdict, gr.Plot(show_label=False, container=False, elem_classes=kind)])
    return made


def main() -> None:
    """Serve the hub until it is told to stop; what visitors left is deleted then at the latest."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # by default, a process told to end leaves its files behind
    with tempfile.TemporaryDirectory(prefix="mexplain_") as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(Path(folder, "uploads"))
        theme = gr.themes.Base(primary_hue="teal", neutral_hue="slate", font=["system-ui", "sans-serif"])
        theme.set(button_primary_background_fill="*primary_700", button_primary_background_fill_dark="*primary_700")
        build(Path(folder)).launch(
            theme=theme, css_paths=ASSETS / "style.css", max_file_size=MAX_UPLOAD, footer_links=["settings"]
        )


if __name__ == "__main__":
    main()
