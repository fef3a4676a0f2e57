"""Says when files may have changed: at once where the system tells it, and within a second everywhere.

Watching alone misses what replaces the watched thing itself (a folder that is renamed, a link that points elsewhere,
a network disk), so the stamps of everything that counts are looked at as well, once a second. Where the system cannot
watch, because its limit is reached, that look is all there is.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import anyio

from supervisor.config.template_sources import Stamp, take_stamps
from supervisor.in_thread import run_in_thread
from supervisor.late_imports import import_late

LOOK = 1.0
"""Seconds between two looks at the stamps."""
CALM = 100
"""How many times longer than a look the pause after it is at least: thousands of files take their time."""
STEP = 100
"""Milliseconds between two looks at what the system has told."""
QUIET = 0.15
"""Seconds without another change, after which the files are read: an editor writes in several steps."""
LONGEST = 2.0
"""Seconds after which they are read in any case."""
RETRY = 60.0
"""Seconds after which watching is tried again where it did not work."""

_log = logging.getLogger(__name__)


class Folder(NamedTuple):
    path: str
    inode: int
    """Another folder in its place has another one: what was watched is not what is there."""


class TemplateWatch:
    """State: what is followed, and how it was when it was last read."""

    def __init__(self) -> None:
        self.trouble = ""
        """Why the system does not tell of changes; empty when it does."""
        self._stamps: Mapping[str, Stamp | None] = {}
        self._folders: frozenset[Folder] = frozenset()
        self._stirred = anyio.Event()
        self._moved = anyio.Event()
        """Other folders are to be watched."""

    def follow(self, stamps: Mapping[str, Stamp | None], folders: frozenset[Folder]) -> list[str]:
        """Watches these folders, and takes these stamps as the state to compare with. Take the stamps before reading
        the files. Returns the paths whose stamp differs from the last call's."""
        if folders != self._folders:
            self._folders = folders
            self._moved.set()
        before, self._stamps = self._stamps, stamps
        return [path for path, stamp in stamps.items() if path in before and before[path] != stamp]

    async def run(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._listen)
            group.start_soon(self._look)
            group.start_soon(self._release)

    async def wait(self) -> None:
        """Returns when something may have changed, and no more does for a moment."""
        await self._stirred.wait()
        with anyio.move_on_after(LONGEST):
            while self._stirred.is_set():
                self._stirred = anyio.Event()
                with anyio.move_on_after(QUIET):
                    await self._stirred.wait()
        self._stirred = anyio.Event()

    def stir(self) -> None:
        """Something may have changed."""
        self._stirred.set()

    async def _release(self) -> None:
        """The thread that listens does not hear of a cancel."""
        try:
            await anyio.sleep_forever()
        finally:
            self._moved.set()

    async def _look(self) -> None:
        pause = LOOK
        while True:
            await anyio.sleep(pause)
            stamps, began = self._stamps, time.monotonic()
            now = await run_in_thread(take_stamps, tuple(stamps), abandon_on_cancel=True)
            pause = max(LOOK, CALM * (time.monotonic() - began))
            if now != stamps and stamps is self._stamps:
                self.stir()

    async def _listen(self) -> None:
        await self._moved.wait()  # before the first reading there is no folder, and a start has more urgent imports
        watchfiles = await import_late("watchfiles")
        while True:
            self._moved = anyio.Event()
            if self._folders:
                await self._listen_to(watchfiles.awatch, sorted(folder.path for folder in self._folders))
            if not self._moved.is_set():
                with anyio.move_on_after(RETRY):
                    await self._moved.wait()

    async def _listen_to(self, awatch: object, folders: list[str]) -> None:
        """Until others are to be watched, or it does not work."""
        try:
            changes = awatch(*folders, watch_filter=None, step=STEP, stop_event=self._moved, recursive=False)  # type: ignore[operator]
            async for _ in changes:
                self.trouble = ""
                self.stir()
        except Exception as error:  # a limit of the system, a folder that has just gone: it has no class of its own
            self.trouble = str(error)
            _log.warning("templates are looked at every %g s, the system does not tell of changes: %s", LOOK, error)


def find_folders(paths: Iterable[str]) -> frozenset[Folder]:
    """The folders of those files, and the folders among the paths; links are followed. Blocking."""
    found = set()
    for path in paths:
        folder = os.path.realpath(path if os.path.isdir(path) else os.path.dirname(path))
        try:
            found.add(Folder(folder, os.stat(folder).st_ino))
        except OSError:
            continue
    return frozenset(found)
