"""Folders that tests read from."""

from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
ROOT = TESTS.parent
SAMPLES = ROOT / "samples"
PERSON = TESTS / "data" / "person.mp4"
CORPUS = TESTS / "data" / "corpus"
