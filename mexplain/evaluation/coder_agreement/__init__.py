"""Agreement of a coder's marks with the network's, or with another coder's."""
