"""A copy that survives a terminal which ignores OSC 52: the same text in a file that only its owner can read.

Whether a terminal takes what it is sent for its clipboard cannot be asked. So the file is always written. It is for
the app to remove it when it ends, and when it begins: a run may have been cut off.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


class CopyFile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, text: str) -> bool:
        """Puts the text in the place of the one before; False when the disk refuses."""
        scratch = self.path.with_name(f".{self.path.name}.new")
        try:
            scratch.unlink(missing_ok=True)
            descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with open(descriptor, "w", encoding="utf-8", errors="replace") as file:
                file.write(text)
            os.replace(scratch, self.path)
        except OSError:
            return False
        return True

    def remove(self) -> None:
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
