"""The hub's tabs, a file each."""
