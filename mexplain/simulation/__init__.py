"""Clips whose cause is known: a still face, a list of action units, and the motion they must show."""
