"""The parent's end of the child: starts it, kills and signals it, gives it commands and reads what it tells."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import psutil
from anyio.streams.buffered import BufferedByteReceiveStream

from supervisor.process.process_tree import LOST, is_guard
from tests.chaos.ledger import Handed, Ledger
from tests.chaos.leftovers import is_client

READY_WITHIN = 60.0
"""Seconds from starting the child to its being ready; about one in fact."""
ENDS_WITHIN = 60.0
"""Seconds from the first signal to the child's end; it hangs for ever or it does not."""
ENDS = frozenset({0, -signal.SIGKILL})
"""Exit codes of a child that was killed, or has left when it had been told to."""
ORPHANED = 0.5
"""Share of lives whose clients do not die with them."""
ROOT = Path(__file__).parents[2]
LINE_LIMIT = 16 * 1024 * 1024


@dataclass(slots=True)
class _Submission:
    handed: Handed
    answered: anyio.Event = field(default_factory=anyio.Event)
    is_accepted: bool = False


class Stage:
    """One state directory, and one child at a time on it. Every child is a new life."""

    def __init__(
        self, folder: Path, order: dict[str, Any], ledger: Ledger, dice: random.Random, tasks: anyio.abc.TaskGroup
    ) -> None:
        """`order` is the child's first line; see `stagehand`. What it tells is heard in `tasks`."""
        self.folder = folder
        self.life = 0
        self.is_up = False
        self.is_guarded = True
        """Whether the clients of this life end with it."""
        self._minutes = (folder / "told.jsonl").open("ab", buffering=0)
        """All that any child has told, to be read when a figure is not what it must be."""
        self._order = order
        self._dice = dice
        self._ledger = ledger
        self._tasks = tasks
        self._refs = count(1)
        self._waiting: dict[int, _Submission] = {}
        self._child: anyio.abc.Process | None = None
        self._ready = anyio.Event()
        self._ended = anyio.Event()
        self._is_expected_to_end = False
        self._may_end_with = ENDS
        """Exit codes."""

    async def begin(self) -> None:
        """Starts the child and returns when it is ready. Raises `TimeoutError`, `RuntimeError`."""
        self.life += 1
        self._is_expected_to_end, self._may_end_with = False, ENDS
        self._ready, self._ended = anyio.Event(), anyio.Event()
        with self.log.open("wb") as log:
            self._child = await anyio.open_process(
                [sys.executable, "-m", "tests.chaos.stagehand"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
            )
        self._tasks.start_soon(self._listen, self._child, self.life)
        self.is_guarded = self._dice.random() >= ORPHANED
        await self._write({**self._order, "orphans": not self.is_guarded})
        with anyio.fail_after(READY_WITHIN):
            await self._ready.wait()
        if not self.is_up:
            raise RuntimeError(f"the supervisor did not start:\n{self.log.read_text()[-4000:]}")

    @property
    def log(self) -> Path:
        return self.folder / f"stagehand-{self.life}.log"

    def clients(self) -> list[psutil.Process]:
        """The CLIs of the child: below their guards, or the child itself."""
        try:
            tops = self._children()
            found = [process for top in tops if is_guard(top) for process in top.children()]
        except LOST:
            return []
        return [process for process in (found if self.is_guarded else tops) if is_client(process, self.folder)]

    def starting(self) -> list[psutil.Process]:
        """Guards that are being started. One that is stopped now has not asked yet to be told of its supervisor's
        death, and has started nothing: it would stand there until the next start."""
        try:
            tops = self._children() if self.is_guarded else []
        except LOST:
            return []
        return [process for process in tops if not is_guard(process) and is_client(process, self.folder)]

    def _children(self) -> list[psutil.Process]:
        """Raises `LOST`."""
        return psutil.Process(self._child.pid).children() if self._child and self.is_up else []

    # Commands

    async def submit(self, handed: Handed) -> bool:
        """True when the child has acknowledged it; False when it refused, or died before it answered."""
        ref, submission = next(self._refs), _Submission(handed)
        self._waiting[ref] = submission
        await self.order("submit", ref=ref, text=handed.text, user=handed.place.user, session=handed.place.session)
        if not self._ended.is_set():
            await submission.answered.wait()
        return submission.is_accepted

    async def order(self, do: str, **facts: object) -> None:
        """Gives a command. When the child is dead, or dies over it, nothing happens."""
        await self._write({"do": do, **facts})

    async def finish(self) -> None:
        """Has the child drain, stop and leave, and returns when it has left."""
        self._is_expected_to_end = True
        await self.order("finish")
        await self._ended.wait()

    async def kill(self) -> None:
        """SIGKILL: nothing is said, nothing is tidied."""
        if self._child is None or self._ended.is_set():
            return
        self._is_expected_to_end = True
        self._child.kill()
        await self._ended.wait()

    async def signal(self, burst: Sequence[signal.Signals], pause: float) -> None:
        """Sends each after so many seconds, and returns when the child has ended in order."""
        if self._child is None or self._ended.is_set():
            return
        self._is_expected_to_end = True
        self._may_end_with = frozenset(128 + number for number in burst)
        for number in burst:
            if self._child.returncode is None:
                with suppress(ProcessLookupError):
                    self._child.send_signal(number)
                await anyio.sleep(pause)
        with anyio.move_on_after(ENDS_WITHIN):
            await self._ended.wait()
        if not self._ended.is_set():
            self._ledger.failures.append(f"life {self.life} did not end within {ENDS_WITHIN:g} s of {burst}")
            await self.kill()

    async def _write(self, line: dict[str, Any]) -> None:
        assert self._child is not None, "begun"
        assert self._child.stdin is not None, "a pipe"
        try:
            await self._child.stdin.send(json.dumps(line).encode() + b"\n")
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            pass  # `_listen` sees the end of it as well, and tells whoever waits

    # What it tells

    async def _listen(self, child: anyio.abc.Process, life: int) -> None:
        assert child.stdout is not None, "a pipe"
        lines = BufferedByteReceiveStream(child.stdout)
        try:
            while True:
                line = await lines.receive_until(b"\n", LINE_LIMIT)
                self._minutes.write(line + b"\n")
                self._hear(life, json.loads(line))
        except (anyio.EndOfStream, anyio.IncompleteRead):
            pass  # killed, perhaps in the middle of a line
        finally:
            self.is_up = False
            with anyio.CancelScope(shield=True):
                if not self._is_expected_to_end:
                    child.kill()
                status = await child.wait()
                await child.aclose()
        if not self._is_expected_to_end or status not in self._may_end_with:
            self._ledger.failures.append(f"life {life} ended by itself with status {status}; see {self.log}")
        self._give_up_waiting()
        self._ready.set()
        self._ended.set()

    def _hear(self, life: int, told: dict[str, Any]) -> None:
        match told:
            case {"told": "ready", "open": turns}:
                self._ledger.begin_life(turns)
                self.is_up = True
                self._ready.set()
            case {"told": "accepted", "ref": ref, "turn": turn}:
                submission = self._waiting.pop(ref)
                submission.is_accepted = True
                self._ledger.accept(turn, submission.handed)
                submission.answered.set()
            case {"told": "refused", "ref": ref, "text": text}:
                submission = self._waiting.pop(ref)
                self._ledger.refused.append((submission.handed, text))
                submission.answered.set()
            case {"told": "bye"}:
                pass
            case _:
                self._ledger.hear(life, told)

    def _give_up_waiting(self) -> None:
        for submission in self._waiting.values():
            submission.answered.set()
        self._waiting.clear()
