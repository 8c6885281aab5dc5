"""Action units on coded clips of licensed data sets, without training on them."""
