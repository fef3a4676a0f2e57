"""When the system gives this process no more of something for a while."""

from __future__ import annotations

import errno


def is_blind(error: BaseException) -> bool:
    """It says nothing of what was looked at: this process had no descriptor, or no memory, left to look with. What
    cannot be seen is not gone."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
