"""How long each part of an explanation takes, how that compares with the plain way, and whether both say the same."""
