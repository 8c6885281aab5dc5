"""Scorecard of the attribution methods: known clips, measures, sanity checks, a table."""
