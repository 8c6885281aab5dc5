"""Plots, heatmap overlays and animations of a report."""
