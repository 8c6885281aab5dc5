"""Reading files of any origin into frames."""
