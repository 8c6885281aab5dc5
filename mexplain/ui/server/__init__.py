"""The hub's server: what is let in, queued, kept and answered."""
