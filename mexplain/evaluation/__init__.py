"""How good the recogniser is, on simulated clips and on real data sets."""
