"""Frames to a face mesh, identification blocks and aligned crops."""
