"""stub"""
from pathlib import Path
def write_index(out: Path, compare: Path | None = None) -> Path:
    """Stub."""
    return out / "index.html"
