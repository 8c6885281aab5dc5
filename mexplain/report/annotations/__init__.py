"""Marks in films, written and read as annotation tools do: ELAN, BORIS, WebVTT, comma-separated values."""
