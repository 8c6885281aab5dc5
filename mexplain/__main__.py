"""So that ``python -m mexplain`` works."""

import os
import sys

from mexplain.cli.main import main

# MediaPipe writes notes for its developers straight to file descriptor 2, whatever it is told; ours keep their way to
# the terminal. `python -X dev -m mexplain` shows them.
if sys.stderr is not None and not sys.flags.dev_mode:
    sys.stderr = os.fdopen(
        os.dup(2), "w", buffering=1, encoding=sys.stderr.encoding, errors=sys.stderr.errors, closefd=False
    )
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)

raise SystemExit(main())
