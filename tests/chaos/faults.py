"""What goes wrong, at seeded random times: processes killed and stopped, an endpoint that fails, readers that leave."""

from __future__ import annotations

import contextlib
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable

import anyio
import psutil
from anyio.abc import TaskGroup

from supervisor.process.process_tree import LOST
from supervisor.rehearsal import Cut, Refuse, Rehearsal, Stall
from tests.chaos.ledger import Ledger
from tests.chaos.leftovers import describe_process, find_clients, find_shared_servers
from tests.chaos.stage import Stage
from tests.chaos.template_file import TemplateFile
from tests.waiting import until

BETWEEN = (0.3, 1.2)
"""Seconds between two faults, from and to."""
AWAKE_AFTER = (0.5, 4.0)
"""Seconds that a stopped process sleeps, if it is ever woken."""
REFUSALS = (429, 529, 529)
"""Statuses to choose from. Each 429 parks the pool, and a parked pool hides all other faults."""
AWAITED = 2.0
"""Seconds to wait for a client that sleeps to be woken."""
WAKES_FOR = (0.0, 0.15)
"""Seconds from there to its end."""
FOR_EVER = 0.4
"""Share of stopped processes that nobody wakes."""
SNIPED = 0.5
"""Share of supervisors that are killed at the very moment when they tell something."""
SIGNALLED = 0.4
"""Share of supervisors that are told to end by signals, one to five of them, instead of being killed."""
IMPATIENT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PAUSES = (0.0, 0.02, 0.3, 1.5)
"""Seconds between two signals, to choose from for each burst."""
PATIENCE = 5.0
"""Seconds to wait for that moment."""
GONE_WITHIN = 5.0
"""Seconds in which guards end everything after their supervisor was killed; a busy machine takes its time."""
DOWN_FOR = (0.0, 1.0)
"""Seconds between the death of a supervisor and the start of the next."""

BROKEN_FOR = (0.2, 1.5)
"""Seconds that a template cannot run."""
AWAY_FOR = (0.2, 2.0)
"""Seconds that a state directory is away."""


class Faults:
    """Happen until cancelled; `counts` says what has happened."""

    def __init__(
        self,
        stage: Stage,
        rehearsal: Rehearsal,
        ledger: Ledger,
        dice: random.Random,
        tasks: TaskGroup,
        template: TemplateFile,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._stage = stage
        self._rehearsal = rehearsal
        self._ledger = ledger
        self._dice = dice
        self._tasks = tasks
        self._template = template
        self._restarting = anyio.Event()
        """A supervisor is about to be started."""
        self._state_in_place = anyio.Lock()
        """Held while the state directory is away, and while a supervisor starts."""

    async def happen(self) -> None:
        faults: dict[Callable[[], Awaitable[str] | str], int] = {
            self._kill_client: 2,
            self._stop_client: 2,
            self._kill_sleeper: 2,
            self._kill_one_that_wakes: 3,
            self._refuse_some: 3,
            self._stall_one: 1,
            self._cut_one: 1,
            self._begin_outage: 1,
            self._abandon_reader: 3,
            self._withdraw: 3,
            self._take_state_away: 2,
            self._edit_template: 2,
            self._spoil_template: 1,
            self._kill_shared_server: 2,
        }
        self.counts[self._edit_template()] += 1  # in every run, however short
        while True:
            await anyio.sleep(self._dice.uniform(*BETWEEN))
            if not self._stage.is_up:
                continue
            (fault,) = self._dice.choices(list(faults), list(faults.values()))
            happened = fault()
            if name := happened if isinstance(happened, str) else await happened:
                self.counts[name] += 1

    async def end_supervisors(self, times: int, seconds: float) -> None:
        """Kills the first, signals the second, and one or the other after that, spread at random over so many seconds.
        Every one has a successor on the same state directory."""
        for number in range(times):
            await anyio.sleep(self._dice.uniform(0.4, 1.0) * seconds / (times + 1))
            if self._dice.random() < SNIPED:
                # What has just been told must not be told otherwise by the next one.
                await self._ledger.changed(PATIENCE)
            async with self._state_in_place:
                is_killed = number == 0 or (number > 1 and self._dice.random() >= SIGNALLED)
                if is_killed:
                    await self._stage.kill()
                    self.counts["supervisors killed"] += 1
                else:
                    burst = self._dice.choices(IMPATIENT, k=self._dice.randint(1, 5))
                    await self._stage.signal(burst, self._dice.choice(PAUSES))
                    self.counts["supervisors signalled"] += 1
                await anyio.sleep(self._dice.uniform(*DOWN_FOR))
                if self._stage.is_guarded or not is_killed:
                    await self._expect_nothing_left()
                # The clients of a life without guards, and their tools. The next life ends them.
                elif orphans := len(find_clients(self._stage.folder)):
                    self.counts["processes that outlived a supervisor"] += orphans
                restarting, self._restarting = self._restarting, anyio.Event()
                restarting.set()
                self._template.mend()
                await self._stage.begin()

    async def _expect_nothing_left(self) -> None:
        with contextlib.suppress(TimeoutError):
            await until(lambda: not find_clients(self._stage.folder), GONE_WITHIN)
        self._ledger.failures += [
            f"{describe_process(one)} outlived its supervisor" for one in find_clients(self._stage.folder)
        ]

    # Each gives what happened in words, or nothing when there was nobody it could happen to.

    def _kill_client(self) -> str:
        victims = [*self._stage.clients(), *self._stage.starting()]
        return "clients killed" if self._signal(signal.SIGKILL, victims) else ""

    def _sleepers(self) -> list[psutil.Process]:
        """Clients that are stopped: asleep, most of them."""
        found = []
        for process in self._stage.clients():
            with contextlib.suppress(*LOST):
                if process.status() == psutil.STATUS_STOPPED:
                    found.append(process)
        return found

    def _kill_sleeper(self) -> str:
        for victim in self._sleepers()[:1]:
            with contextlib.suppress(*LOST):
                victim.kill()
                return "sleeping clients killed"
        return ""

    async def _kill_one_that_wakes(self) -> str:
        """At the earliest when it has been continued, at the latest when it works on its prompt."""
        sleepers = self._sleepers()
        with anyio.move_on_after(AWAITED):
            while sleepers:
                for victim in sleepers:
                    with contextlib.suppress(*LOST):
                        if victim.is_running() and victim.status() != psutil.STATUS_STOPPED:
                            await anyio.sleep(self._dice.uniform(*WAKES_FOR))
                            victim.kill()
                            return "waking clients killed"
                await anyio.sleep(0.005)
        return ""

    def _stop_client(self) -> str:
        if (victim := self._signal(signal.SIGSTOP, self._stage.clients())) is None:
            return ""
        if self._dice.random() < FOR_EVER:
            return "clients stopped for ever"
        self._tasks.start_soon(self._wake, victim, self._dice.uniform(*AWAKE_AFTER))
        return "clients stopped for a while"

    def _signal(self, number: signal.Signals, processes: list[psutil.Process]) -> psutil.Process | None:
        if not processes:
            return None
        victim = self._dice.choice(processes)
        with contextlib.suppress(*LOST):
            victim.send_signal(number)
            return victim
        return None

    async def _wake(self, victim: psutil.Process, after: float) -> None:
        await anyio.sleep(after)
        with contextlib.suppress(*LOST):
            victim.resume()

    def _kill_shared_server(self) -> str:
        """Whoever asks it just then gets an error; it is started again, and nothing else happens."""
        for process in find_shared_servers(self._stage.folder):
            with contextlib.suppress(*LOST):
                process.kill()
                return "shared MCP servers killed"
        return ""

    def _refuse_some(self) -> str:
        status = self._dice.choice(REFUSALS)
        times = self._dice.randint(1, 4)
        self._rehearsal.fail_next(Refuse(status, retry_after=0), times)
        return f"requests refused with {status}"

    def _stall_one(self) -> str:
        self._rehearsal.fail_next(Stall())
        return "requests stalled"

    def _cut_one(self) -> str:
        self._rehearsal.fail_next(Cut())
        return "requests cut"

    def _begin_outage(self) -> str:
        status = self._dice.choice(REFUSALS)
        self._tasks.start_soon(self._be_out, Refuse(status, retry_after=0), self._dice.uniform(0.3, 2.0))
        return f"outages with {status}"

    async def _be_out(self, fault: Refuse, seconds: float) -> None:
        with self._rehearsal.outage(fault):
            await anyio.sleep(seconds)

    async def _abandon_reader(self) -> str:
        running = self._ledger.open_turns()
        if not running:
            return ""
        freeze = self._dice.random() < 0.5
        turn = self._dice.choice(running).turn
        await self._stage.order("read", turn=turn, parts=self._dice.randint(1, 20), freeze=freeze)
        return "readers that froze" if freeze else "readers that left"

    def _edit_template(self) -> str:
        self._template.save()
        return "templates edited"

    def _spoil_template(self) -> str:
        """What runs goes on; a supervisor that starts meanwhile would have no agent, so it is mended before that."""
        self._template.spoil()
        self._tasks.start_soon(self._mend_template, self._dice.uniform(*BROKEN_FOR))
        return "templates broken"

    async def _mend_template(self, after: float) -> None:
        with anyio.move_on_after(after):
            await self._restarting.wait()
        self._template.mend()

    async def _take_state_away(self) -> str:
        """What is accepted meanwhile would be lost; what was accepted before is written when it is back."""
        state, away = self._stage.folder / "state", self._stage.folder / "state-away"
        async with self._state_in_place:
            if not self._stage.is_up:
                return ""
            state.rename(away)
            try:
                await anyio.sleep(self._dice.uniform(*AWAY_FOR))
            finally:
                away.rename(state)
        return "state directories moved away for a while"

    async def _withdraw(self) -> str:
        running = self._ledger.open_turns()
        if not running:
            return ""
        await self._stage.order("withdraw", turn=self._dice.choice(running).turn)
        return "prompts withdrawn"
