"""Training the recogniser, and measuring it on people it has never seen."""
