"""``python -m mexplain``: the command line."""

from mexplain.cli.main import run

run()
