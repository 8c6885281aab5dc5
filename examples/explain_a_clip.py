"""Explain a clip in ten lines: python examples/explain_a_clip.py samples/happiness.mp4"""

import sys

from mexplain.checkpoints import load_checkpoint
from mexplain.explain import explain

report = explain(sys.argv[1], load_checkpoint(), methods=("integrated_gradients",))
for variant in report.variants:
    top = max(variant.blocks, key=lambda block: block.attribution["integrated_gradients"])
    print(f"{variant.variant}: {variant.label}, most because of the {top.name}")
    print(f"  {variant.trust['integrated_gradients'].sentence}")
