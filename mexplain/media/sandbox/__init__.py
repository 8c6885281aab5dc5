"""Functions run in a child process with limits, for files that may be hostile."""
