"""One supervisor for each state directory: the second is told who the first is, and a dead one is in nobody's way."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.abc
import psutil
import pytest

import supervisor
from supervisor.api.errors import JournalUnusable, StateInUse
from supervisor.clock import Clock
from supervisor.journal import Journal, lock

pytestmark = pytest.mark.anyio

_HOLD = """
import subprocess, sys
from pathlib import Path
import anyio
from supervisor.clock import Clock
from supervisor.journal import Journal

async def main():
    async with Journal.open(Path(sys.argv[1]), clock=Clock(), name="dashboard"):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print(child.pid, flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


@asynccontextmanager
async def holder_of(folder: Path) -> AsyncGenerator[tuple[anyio.abc.Process, psutil.Process]]:
    """Another process that holds the directory, and a child of it that knows nothing of that."""
    root = Path(supervisor.__file__).parent.parent
    process = await anyio.open_process([sys.executable, "-c", _HOLD, str(folder)], cwd=root, stderr=None)
    try:
        assert process.stdout is not None
        with anyio.fail_after(30):
            child = psutil.Process(int(await process.stdout.receive()))
        try:
            yield process, child
        finally:
            child.kill()
    finally:
        if process.returncode is None:
            process.kill()
        await process.aclose()


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}


async def enter(folder: Path) -> None:
    async with Journal.open(folder, clock=Clock()):
        pass


async def test_the_second_is_refused_naming_the_first_and_let_in_after_its_sigkill(folder: Path) -> None:
    """R2. The first one's children live on and hold nothing."""
    async with holder_of(folder) as (process, child):
        with pytest.raises(StateInUse) as raised:
            await enter(folder)
        assert re.sub(r"(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d", "14:02:11", str(raised.value)) == (
            f"the state directory {folder} is in use by bullpen pid {process.pid} since 14:02:11 (dashboard): "
            "stop that one, or give this one its own with --state DIR"
        )

        process.send_signal(signal.SIGKILL)
        await process.wait()
        assert child.is_running()
        await enter(folder)


async def test_it_is_free_again_when_it_is_left_in_order(folder: Path) -> None:
    await enter(folder)
    await enter(folder)


async def test_one_process_cannot_hold_it_twice(folder: Path) -> None:
    async with Journal.open(folder, clock=Clock(), name="first"):
        with pytest.raises(StateInUse, match=rf"pid {os.getpid()} since .* \(first\)"):
            await enter(folder)


async def test_everything_in_it_is_for_its_owner_only(folder: Path) -> None:
    async with Journal.open(folder, clock=Clock()) as journal:
        journal.note_action(1.0, "a", "b", "")
        await journal.flush()
        found = modes(folder)
    names = ("journal.db", "journal.db-wal", "journal.db-shm", lock.FILE)
    assert found == dict.fromkeys(names, 0o600) | {"state": 0o700}


async def test_a_directory_that_cannot_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalUnusable, match="Not a directory") as raised:
        await enter(tmp_path / "file" / "state")
    assert "\n" not in str(raised.value)


async def test_without_locks_the_word_of_a_living_process_is_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "fcntl", None)
    async with Journal.open(folder, clock=Clock(), name="first"):
        with pytest.raises(StateInUse, match="first"):
            await enter(folder)
    await enter(folder)


async def test_without_locks_a_dead_process_and_a_pid_used_again_hold_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Journal.open(folder, clock=Clock()):
        said = json.loads((folder / lock.FILE).read_text())
    monkeypatch.setattr(lock, "fcntl", None)
    for changes in ({"pid": 2**22 + 1}, {"started": said["started"] - 1000}):
        (folder / lock.FILE).write_text(json.dumps(said | changes))
        await enter(folder)


async def test_a_lock_that_does_not_say_whose_it_is_still_holds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_PAUSE", 0)
    async with Journal.open(folder, clock=Clock()):
        (folder / lock.FILE).write_text("[]")
        with pytest.raises(StateInUse, match="in use by another bullpen"):
            await enter(folder)
