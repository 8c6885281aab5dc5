"""Calibration of trust: how far block scores move, and how often explanations like one name the right block."""
