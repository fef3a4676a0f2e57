"""What a run of tests takes from the user who runs it: nothing of their home directory, no signals turned off."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile


def isolate() -> None:
    """To be called before anything is started.

    The CLI begins its tools with a login shell: a profile that waits for a lock, asks the network or prints something
    would be part of every test. And a kill in the middle of it would leave the user's own shell with that lock.
    """
    home = tempfile.mkdtemp(prefix="bullpen-tests-home-")
    atexit.register(_remove, home, os.getpid())
    os.environ["HOME"] = home
    for name in ("COLUMNS", "LINES"):  # what the terminal of another program was like
        os.environ.pop(name, None)
    # What runs in the background, or under `nohup`, ignores some signals, and so would every program started from here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


def _remove(home: str, owner: int) -> None:
    if os.getpid() == owner:  # not in a fork
        shutil.rmtree(home, ignore_errors=True)
