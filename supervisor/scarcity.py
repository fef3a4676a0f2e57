"""When the system gives this process no more of something for a while."""

from __future__ import annotations

import errno


def is_blind(error: BaseException) -> bool:
    """Whether the error means that this process had no file descriptor or memory left. It then says nothing about the
    thing that was looked for: it may exist."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
