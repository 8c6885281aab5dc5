"""Readers of licensed data sets of micro-expressions: from a folder and its coding sheet to samples."""
