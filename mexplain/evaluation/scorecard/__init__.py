"""How well each method of attribution finds what is known to be true: clips, measures, sanity checks, a table."""
