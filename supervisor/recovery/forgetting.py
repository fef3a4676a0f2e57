"""Removes a person: everything that was said with one user, in the journal and in files, and a search that proves it.

For a state directory that no supervisor holds; while one runs, `Engine.forget_user` does it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from supervisor.api.ids import validate_id
from supervisor.clock import Clock
from supervisor.files.session_files import Belongings, CliStore, DiskTally, measure, remove_workspace
from supervisor.files.user_folder import measure_user_folder, remove_user_folder
from supervisor.in_thread import run_in_thread
from supervisor.journal import Journal, Removal, SessionRecord, lock
from supervisor.journal.store import FILE, WORKSPACES
from supervisor.recovery.orphans import end_orphans

CHUNK = 1024**2


@dataclass
class Forgotten:
    """What was found of a user, and removed or, in a trial, would be."""

    rows: dict[str, int] = field(default_factory=dict)
    """Rows of the journal, by what they hold: sessions, turns, entries, questions, actions."""
    files: int = 0
    """Files of workspaces and conversations."""
    bytes: int = 0
    shared_with: tuple[str, ...] = ()
    """Agents with one shared session (archetype employee) that the user wrote to: what was said there stays with
    the CLI until that session is closed."""
    left: list[str] = field(default_factory=list)
    """What the search has still found afterwards, or what could not be removed, a line each."""

    @property
    def is_empty(self) -> bool:
        return not self.files and not any(self.rows.values())

    def __iadd__(self, other: Forgotten) -> Forgotten:
        self.rows = {name: self.rows.get(name, 0) + other.rows.get(name, 0) for name in self.rows | other.rows}
        self.files += other.files
        self.bytes += other.bytes
        self.shared_with += other.shared_with
        self.left += other.left
        return self


async def forget_user(
    state_dir: Path, user: str, environment: Mapping[str, str] | None = None, *, is_trial: bool = False
) -> Forgotten:
    """Removes all that a state directory and its rehearsal hold of the user; with `is_trial` only counts it.
    `environment` says where the CLI keeps its files (default: this process's).

    Raises `InvalidId`; `StateInUse`, naming the holder; or `JournalUnusable`. Nothing was removed then.
    """
    validate_id(user, "user")
    found = Forgotten()
    given = os.environ if environment is None else environment
    real = CliStore.of(given)
    stores = {state_dir: real, state_dir / "rehearsal": real._replace(config_dir=state_dir / "rehearsal" / "claude")}
    for folder, store in stores.items():
        if (folder / FILE).exists() or (folder / lock.FILE).exists():
            found += await _forget_in(folder, store, user, is_trial)
    return found


async def _forget_in(folder: Path, store: CliStore, user: str, is_trial: bool) -> Forgotten:
    root = folder / WORKSPACES
    async with Journal.open(folder, clock=Clock(), name="forget") as journal:
        loaded = await journal.load()
        removals = [*_removals_of(loaded.sessions, user, root)]
        removals += [one for one in loaded.removals if one.key.user == user]
        belongings = [Belongings(one.uuid, one.workspace) for one in removals]
        uuids = {one.uuid for one in removals if one.uuid}
        found = Forgotten(await journal.erasures.count_user(user), shared_with=await journal.erasures.find_shared(user))
        if is_trial:
            tally = await run_in_thread(_measure, store, belongings)
            tally += await run_in_thread(measure_user_folder, folder, user)
        else:
            # A process that still runs would write its files again.
            await end_orphans([one for one in loaded.clients if one.key is not None and one.key.user == user])
            journal.erasures.forget_user(user, removals)
            await journal.flush()
            tally = await run_in_thread(_remove, store, belongings, root)
            tally += await run_in_thread(remove_user_folder, folder, user)
            if not tally.failed:
                for removal in removals:
                    journal.erasures.settle_removal(removal)
                await journal.flush()
            await journal.erasures.scrub()
            rows = await journal.erasures.count_user(user)
            found.left += [f"{count} {name} in {folder / FILE}" for name, count in rows.items() if count]
            if not tally.failed:
                found.left += await run_in_thread(_search, folder, store, belongings, uuids)
    found.files, found.bytes = tally.files, tally.bytes
    found.left += tally.failed
    return found


def _removals_of(sessions: Sequence[SessionRecord], user: str, root: Path) -> list[Removal]:
    found = []
    for record in sessions:
        if record.key.user == user and (record.uuid or record.workspace):
            is_own = bool(record.workspace) and Path(record.workspace).parent.parent == root
            found.append(Removal(record.uuid, record.workspace if is_own else "", record.key, 0.0))
    return found


def _remove(store: CliStore, belongings: Sequence[Belongings], root: Path) -> DiskTally:
    tally = store.remove(belongings)
    for one in belongings:
        if one.workspace:
            tally += remove_workspace(one.workspace, root)
    return tally


def _measure(store: CliStore, belongings: Sequence[Belongings]) -> DiskTally:
    return measure([*store.find(belongings), *(one.workspace for one in belongings if one.workspace)])


def _search(folder: Path, store: CliStore, belongings: Sequence[Belongings], uuids: set[str]) -> list[str]:
    """What is still there under the names of the user's conversations: in files, and in the bytes of the journal."""
    found = [str(path) for path in store.find(belongings)]
    found += [one.workspace for one in belongings if one.workspace and os.path.lexists(one.workspace)]
    wanted = [uuid.encode() for uuid in uuids]
    for path in (folder / FILE, folder / f"{FILE}-wal"):
        found += [f"{uuid.decode()} in {path}" for uuid in _find_bytes(path, wanted)]
    return found


def _find_bytes(path: Path, wanted: Sequence[bytes]) -> list[bytes]:
    found: set[bytes] = set()
    try:
        with path.open("rb") as file:
            before = b""
            while chunk := file.read(CHUNK):
                text = before + chunk
                found |= {one for one in wanted if one in text}
                before = text[-64:]
    except OSError:
        return []
    return sorted(found)
