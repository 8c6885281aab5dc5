"""Expressions spotted in long videos of licensed data sets, and recognised, without training on them."""
