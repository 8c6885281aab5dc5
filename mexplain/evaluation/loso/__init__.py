"""Leave-one-subject-out cross-validation on licensed data sets."""
