"""Packs the test people among some photos as the faces that known clips are rendered from.

    python -m tests.manual.pack_known_people FOLDER...

Photos of real people may not be shipped: give folders of synthetic ones.
"""

import sys
from pathlib import Path

from mexplain.evaluation.scorecard.known_clips import SHIPPED
from mexplain.model.config import PRESETS
from mexplain.simulation.faces import load_faces, save_faces

if __name__ == "__main__":
    people = load_faces([Path(folder) for folder in sys.argv[1:]], PRESETS["lite"].crop_iod).split("test")
    save_faces(people, SHIPPED)
    print(f"{len(people)} people in {SHIPPED}.webp and .npz")
