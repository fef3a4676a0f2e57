"""Takes away from disk what sessions leave there when they are over.

It is noted first, in the transaction that forgets the session, then removed, then settled: whatever a crash leaves half
done is done at the next start.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

import anyio

from supervisor.api.keys import SessionKey
from supervisor.api.snapshot import DiskUse
from supervisor.clock import Clock
from supervisor.config.names import slug
from supervisor.config.settings import Settings
from supervisor.feed import Feed
from supervisor.files.disk_use import measure_disk
from supervisor.files.session_files import Belongings, CliStore, DiskTally, find_workspaces, remove_workspace
from supervisor.in_thread import run_in_thread
from supervisor.journal import ClientRecord, Journal, Removal

PAUSE = 0.5
"""Seconds between two removals: what comes meanwhile goes together, with one look at the CLI's folders for all."""
LONGEST_WAIT = 60.0
"""Seconds after which the time is looked at again: a machine that slept does not count them."""
RETRY = 3600.0
"""Seconds after which what could not be removed is tried again."""

_log = logging.getLogger(__name__)


class EraserContext(Protocol):
    """What the eraser needs of all that instances share (`shared.HostContext`)."""

    @property
    def clock(self) -> Clock: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def feed(self) -> Feed: ...
    @property
    def journal(self) -> Journal: ...
    @property
    def workspaces(self) -> Path: ...
    @property
    def recording_fails(self) -> str: ...


class Eraser:
    """State: what is to be removed, each with the time it is due."""

    def __init__(self, host: EraserContext, store: CliStore, in_use: Callable[[], Collection[str]]) -> None:
        """`in_use` tells the conversations and the workspaces of all sessions and clients there are."""
        self.failed: tuple[str, ...] = ()
        """Paths that could not be removed when it was last tried, each with the reason."""
        self._host = host
        self._store = store
        self._in_use = in_use
        self._pending: dict[tuple[str, str], Removal] = {}
        self._not_before: dict[tuple[str, str], float] = {}
        self._noted = anyio.Event()
        self._unwritten = 0
        """Removals noted whose note is not durable yet."""

    @property
    def pending(self) -> tuple[Removal, ...]:
        return tuple(self._pending.values())

    def forget(self, key: SessionKey, uuid: str, workspace: Path | None, ttl: float | None) -> None:
        """The session, what was said in it, and what it has on disk: its workspace after `ttl` seconds, None for not at
        all."""
        removal = self._make(key, uuid, workspace, ttl)
        removals = (removal,) if removal is not None else ()
        self._unwritten += 1
        self._host.journal.erasures.forget_session(key, removals, on_written=partial(self._begin, removals))

    def discard(self, key: SessionKey, uuid: str, workspace: Path | None, ttl: float | None) -> None:
        """Notes files for removal that a client has left and that belong to no session any more."""
        if (removal := self._make(key, uuid, workspace, ttl)) is not None:
            self._unwritten += 1
            self._host.journal.erasures.note_removal(removal, on_written=partial(self._begin, (removal,)))

    def hasten(self, user: str) -> None:
        """Makes all files of that user's ended sessions due now."""
        for removal in self.pending:
            if removal.key.user == user:
                due = removal._replace(workspace_due_at=self._host.clock.wall())
                self._unwritten += 1
                self._host.journal.erasures.note_removal(due, on_written=partial(self._begin, (due,)))

    def discard_spare(self, client: ClientRecord) -> None:
        """What a client of an earlier run has left that never came to a session."""
        instance = client.id.rpartition("-")[0]
        workspace = self._host.workspaces / slug(instance) / client.session_uuid
        self.discard(SessionKey(instance, "", ""), client.session_uuid, workspace, 0.0)

    def _begin(self, removals: Iterable[Removal]) -> None:
        self._unwritten -= 1
        self.take(removals)

    def take(self, removals: Iterable[Removal]) -> None:
        """Adds removals that were noted, by this run or an earlier one."""
        for removal in removals:
            self._pending[removal.uuid, removal.workspace] = removal
        self._noted.set()

    def _make(self, key: SessionKey, uuid: str, workspace: Path | None, ttl: float | None) -> Removal | None:
        is_own = workspace is not None and workspace.parent.parent == self._host.workspaces
        if not uuid and not is_own:
            return None
        due_at = None if ttl is None else self._host.clock.wall() + ttl
        return Removal(uuid, str(workspace) if is_own else "", key, due_at)

    async def sweep(self, ttls: Mapping[str, float | None]) -> None:
        """Notes workspaces that no session knows, such as a crash leaves, once they are older than their instance keeps
        them. `ttls` are those of the instances there are, by slug and in seconds; others' are left alone."""
        found = await run_in_thread(lambda: list(find_workspaces(self._host.workspaces)))
        known = {*self._in_use(), *(removal.workspace for removal in self.pending)}
        now = self._host.clock.wall()
        for path, changed_at in found:
            workspace = Path(path)
            ttl = ttls.get(workspace.parent.name)
            if path not in known and ttl is not None and now - changed_at > ttl:
                self.discard(SessionKey(workspace.parent.name, "", ""), workspace.name, workspace, 0.0)

    @property
    def transcripts_dir(self) -> Path:
        """The CLI's folder of transcripts, with a folder for each working directory."""
        return self._store.config_dir / "projects"

    def measure(self, sessions: Collection[Belongings]) -> DiskUse:
        """Blocking: what the state directory holds, those sessions' part of it singly."""
        return measure_disk(self._host.settings.state_dir, self._store, sessions)

    async def run(self) -> None:
        while True:
            self._noted = anyio.Event()
            await self.finish()
            left = self._next_due() - self._host.clock.wall()
            with anyio.move_on_after(min(max(PAUSE, left), LONGEST_WAIT)):
                await self._noted.wait()
            await anyio.sleep(PAUSE)

    async def finish(self) -> None:
        """Removes everything that is due."""
        now = self._host.clock.wall()
        if due := [one for one in self.pending if self._due_at(one) <= now]:
            await self._erase(due, now)
            await self._host.journal.erasures.scrub()

    async def finish_at_last(self) -> None:
        """Removes what is due when everything else has ended. What cannot be noted is left to the next start."""
        if self._unwritten and not self._host.recording_fails:
            await self._host.journal.flush()
        await self.finish()

    async def _erase(self, due: list[Removal], now: float) -> None:
        in_use = self._in_use()
        for mistaken in [one for one in due if one.uuid in in_use or one.workspace in in_use]:
            _log.error("%s is in use, and is not removed", mistaken.uuid)
            due.remove(mistaken)
            self._settle(mistaken)
        workspaces = [one for one in due if one.workspace and _is_due(one.workspace_due_at, now)]
        conversations = [one for one in due if one.has_files]
        try:
            tally = await run_in_thread(self._remove, conversations, workspaces, abandon_on_cancel=True)
        except OSError as error:  # it cannot be seen what there is to be removed
            _log.warning("what is due cannot be removed now: %s", error)
            self._not_before.update({(one.uuid, one.workspace): now + RETRY for one in due})
            return
        for removal in due:
            place = removal.uuid, removal.workspace
            if any(_concerns(failure, removal) for failure in tally.failed):
                self._not_before[place] = now + RETRY
            elif removal.workspace and removal not in workspaces:
                # The latest counts: it may have been noted again meanwhile.
                if self._pending.get(place) is removal:
                    self._pending[place] = kept = removal._replace(has_files=False)
                    self._host.journal.erasures.note_removal(kept)
            else:
                self._settle(removal)
        self.failed = tuple(tally.failed)
        if tally.failed:
            _log.warning("%d paths of ended sessions could not be removed: %s", len(tally.failed), tally.failed[0])
        self._host.feed.touch_host()

    def _settle(self, removal: Removal) -> None:
        place = removal.uuid, removal.workspace
        if self._pending.get(place) is removal:
            del self._pending[place]
            self._host.journal.erasures.settle_removal(removal)

    def _remove(self, conversations: list[Removal], workspaces: list[Removal]) -> DiskTally:
        """Blocking."""
        tally = self._store.remove([Belongings(one.uuid, one.workspace) for one in conversations])
        for one in workspaces:
            tally += remove_workspace(one.workspace, self._host.workspaces)
        return tally

    def _due_at(self, removal: Removal) -> float:
        wanted = 0.0 if removal.has_files or not removal.workspace else removal.workspace_due_at
        later = self._not_before.get((removal.uuid, removal.workspace), 0.0)
        return math.inf if wanted is None else max(wanted, later)

    def _next_due(self) -> float:
        return min(map(self._due_at, self.pending), default=math.inf)


def _is_due(at: float | None, now: float) -> bool:
    return at is not None and at <= now


def _concerns(failure: str, removal: Removal) -> bool:
    path = failure.rpartition(": ")[0]
    return removal.uuid in path or bool(removal.workspace and path.startswith(removal.workspace))
