"""How a command ended, for the shell that called it. `docs/cli.md` has the same table; a test compares them."""

from __future__ import annotations

DONE = 0
"""Success."""
FAILED = 1
"""The work failed, nothing was done, or it is not known whether it was."""
REFUSED = 2
"""It was refused, or the input is bad. Nothing was changed."""
NOT_RUNNING = 69
"""No bullpen can be reached (EX_UNAVAILABLE)."""
INTERNAL_ERROR = 70
"""An internal error of bullpen (EX_SOFTWARE)."""
SIGNAL = 128
"""128 + the number of the signal that ended it."""
READER_GONE = SIGNAL + 13
"""As a shell reports a program that wrote into a closed pipe."""
