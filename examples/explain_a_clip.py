"""Explains a clip in ten lines: python -m examples.explain_a_clip samples/happiness.mp4 report.html."""

import sys
from pathlib import Path

from mexplain import ExplainRequest, explain, load_checkpoint, write_html

clip, page = (sys.argv[1:] + ["samples/happiness.mp4", "report.html"][len(sys.argv) - 1 :])[:2]
report = explain(clip, load_checkpoint(), ExplainRequest(methods=("integrated_gradients",)))
for variant in report.variants:
    strongest = max(variant.blocks, key=lambda block: block.attribution["integrated_gradients"])
    print(f"{variant.variant}: {variant.label}, because of {strongest.name}.")
    print(f"  {variant.trust['integrated_gradients'].summary}")
write_html(report, Path(page))
