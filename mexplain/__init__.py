"""Shows which face regions drive a micro-expression recogniser, and how far that can be trusted."""

__version__ = "0.1.0"
