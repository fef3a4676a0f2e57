"""Hears what happens in the engine and fires the hooks that are declared for it: a caller of the engine like others.

`hear` is called by the feed, in the middle of whatever happens: it does nothing but remember. A task of its own
compares and fires, so that no hook, however many or slow, is in the way of a turn.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

import anyio
import anyio.lowlevel
from anyio.abc import TaskStatus

from supervisor.api.automation import MOST_DEPTH, Hook, How, OpenRun, Payload, Schedule, ScheduleMark, Value
from supervisor.api.engine import Engine
from supervisor.api.errors import Refused, Suspended
from supervisor.api.event_names import BY_NAME, EventName, names_of, sample_of
from supervisor.api.events import Event, SessionClosed, TurnFinished, TurnQueued, TurnSuspended
from supervisor.api.hook_rows import Delivery, Fallback, HookRow, HookRun, RunState
from supervisor.api.ids import new_id
from supervisor.api.prompts import Prompt
from supervisor.automation.conditions import holds, spell
from supervisor.automation.depths import Depths
from supervisor.automation.firing import Firing, read_end
from supervisor.automation.gate import Gates
from supervisor.automation.ports import AutomationContext
from supervisor.automation.run_log import RunLog
from supervisor.automation.runner import Runner
from supervisor.automation.schedules import Schedules

MOST_HEARD = 10_000
"""Events that wait to be compared; further ones are dropped, counted and told."""
AT_ONCE = 50
"""Events that are compared before others get their turn."""
LONGEST_TEST = 30.0
"""Seconds that `test` waits for what it has begun."""

_log = logging.getLogger(__name__)


_ENDED = "prompt:after"

_FOR_DEPTHS: frozenset[type[Event]] = frozenset({TurnQueued, TurnFinished, TurnSuspended, SessionClosed})


class Heard(NamedTuple):
    event: Event
    names: tuple[EventName, ...]
    depth: int
    prompt: Prompt | None
    kept: str = ""
    """The id under which it is kept until it was compared."""
    is_late: bool = False
    """It happened before bullpen was started."""


class Automation:
    def __init__(
        self,
        engine: Engine,
        hooks: Iterable[Hook],
        schedules: Iterable[Schedule],
        around: AutomationContext,
        tell: Callable[[Event], None],
        *,
        runs: bool = True,
    ) -> None:
        """`tell` publishes an event. Without `runs`, what is to be done is only kept for the next start."""
        self.log = RunLog()
        self.depths = Depths(around.wall, around.find_prompt)
        self.runner = Runner(engine, around, self.log, self.depths, tell)
        self.gates = Gates(self.runner)
        self.schedules = Schedules(schedules, around, self.runner, tell)
        self._around = around
        self.declare(hooks)
        self._heard: deque[Heard] = deque()
        self._news = anyio.Event()
        self._is_closing = not runs

    def declare(self, hooks: Iterable[Hook]) -> None:
        """Replaces all hooks from now on. Runs that have begun go on."""
        self.hooks = tuple(sorted(hooks, key=lambda hook: hook.priority))
        """Gates included, in the order in which they fire."""
        self.gates.declare(self.hooks)
        self._by_event: dict[str, tuple[Hook, ...]] = {
            name: tuple(hook for hook in self.hooks if name in hook.on and not hook.gate) for name in BY_NAME
        }
        self._for_agent: dict[tuple[str, str], tuple[Hook, ...]] = {}
        """By event and agent, those of them that may be meant: found once for each."""
        wanted: set[type[Event]] = {
            one.kind for one in BY_NAME.values() if one.kind is not None and self._by_event[one.name]
        }
        if self._by_event["prompt:before"]:
            wanted.add(TurnQueued)
        self._wanted = frozenset(wanted)
        self._kept = self._wanted | (_FOR_DEPTHS if wanted else frozenset())
        """Kinds that are fired for, and those by which depths are known."""

    def hear(self, event: Event) -> None:
        """Never raises, and waits for nothing."""
        if type(event) not in self._kept:
            return
        try:
            self._remember(event)
        except Exception:
            _log.exception("an event could not be heard: %s", type(event).__name__)

    def _remember(self, event: Event) -> None:
        depth, prompt = self.depths.hear(event)
        if type(event) not in self._wanted:
            return
        names = tuple(one for one in names_of(event) if self._by_event[one.name])
        if type(event) is TurnQueued and self._by_event["prompt:before"]:
            names = (BY_NAME["prompt:before"], *names)
        if not names:
            return
        if len(self._heard) >= MOST_HEARD:
            for name in names:
                for hook in self._by_event[name.name]:
                    firing = self._firing(hook, name.payload(event, None, id=new_id(), depth=depth), depth)
                    self.runner.drop(firing, f"{MOST_HEARD:,} events wait to be looked at")
            return
        kept = ""
        if isinstance(event, TurnFinished) and self._must_be_told(event, depth, prompt):
            kept = self.runner.keep_end(event)
        self._heard.append(Heard(event, names, depth, prompt, kept))
        if self._is_closing:
            self._compare_all()
        else:
            self._news.set()

    def _must_be_told(self, event: TurnFinished, depth: int, prompt: Prompt | None) -> bool:
        """Whether a hook that survives a crash is meant: a row for each turn that none is for would cost every turn."""
        found = [hook for hook in self._may_be_meant(_ENDED, event.instance) if hook.delivery is Delivery.AT_LEAST_ONCE]
        if not found:
            return False
        payload = BY_NAME[_ENDED].payload(event, prompt, id="", depth=depth)
        return any(holds(hook.tests, payload) for hook in found)

    async def run(
        self,
        *,
        open_runs: Iterable[OpenRun] = (),
        marks: Iterable[ScheduleMark] = (),
        task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Fires until it is cancelled. `open_runs` are what an earlier run has not ended, `marks` how far its schedules
        have come."""

        async def listen() -> None:
            for kept in open_runs:
                self._take_up(kept)
            task_status.started()
            async with anyio.create_task_group() as group:
                group.start_soon(self.schedules.run, marks)
                while True:
                    await self._news.wait()
                    self._news = anyio.Event()
                    while self._heard:
                        for _ in range(min(AT_ONCE, len(self._heard))):
                            self._compare(self._heard.popleft())
                        await anyio.lowlevel.checkpoint()

        try:
            await self.runner.run(listen)
        finally:
            # What happens while all is being ended is kept for the next start, as far as it is to be done at all.
            self._is_closing = True
            self._compare_all()

    def _take_up(self, kept: OpenRun) -> None:
        if turn := read_end(kept):
            self._take_up_end(kept, turn)
            return
        firing = Firing.revive(kept, {hook.name: hook for hook in self.hooks}, self.schedules.declared)
        if firing is None and kept.key.instance and self._around.find_archetype(kept.key.instance) is None:
            return  # a template that does not run now may bring its hooks along with the next start, as its turns
        if firing is None:
            _log.warning("run %s is given up: its hook is not declared any more", kept.id)
            if (book := self._around.find_book()) is not None:
                book.settle(kept.id)
            return
        self.runner.start(firing, is_kept=True)

    def _take_up_end(self, kept: OpenRun, turn: str) -> None:
        """A turn ended and bullpen with it, before hooks were compared with that."""
        event = self._around.find_end(turn)
        if event is None:
            self.runner.settle_end(kept.id)  # the turn, or its user, was forgotten
            return
        depth, prompt = self.depths.hear(event)
        self._compare(Heard(event, (BY_NAME[_ENDED],), depth, prompt, kept.id, is_late=True))

    def forget(self, user: str) -> None:
        """Removes what is kept of that user from waiting and running hooks. Runs go on."""
        self._compare_all()
        self.runner.forget(user)
        self.log.forget(user)

    def _compare_all(self) -> None:
        while self._heard:
            self._compare(self._heard.popleft())

    def _compare(self, heard: Heard) -> None:
        for name in heard.names:
            payload = name.payload(heard.event, heard.prompt, id=new_id(), depth=heard.depth)
            for hook in self._may_be_meant(name.name, heard.event.instance):
                if heard.is_late and hook.delivery is not Delivery.AT_LEAST_ONCE:
                    continue
                try:
                    self._fire(hook, payload, heard.depth)
                except Exception:
                    _log.exception("the hook %s could not be fired", hook.name)
        if heard.kept:
            self.runner.settle_end(heard.kept)

    def _may_be_meant(self, name: str, instance: str) -> tuple[Hook, ...]:
        """The hooks of an event that may be for this agent: hooks of other agents are left out, so that many agents
        with hooks of their own cost little."""
        found = self._for_agent.get((name, instance))
        if found is None:
            found = tuple(hook for hook in self._by_event[name] if _is_for(hook, instance))
            self._for_agent[name, instance] = found
        return found

    def _fire(self, hook: Hook, payload: Payload, depth: int) -> None:
        if not holds(hook.tests, payload):
            return
        firing = self._firing(hook, payload, depth)
        if depth >= MOST_DEPTH:
            self.runner.skip(firing, f"{MOST_DEPTH} hooks have led to this: hooks that fire each other end here")
        elif self._is_closing:
            self.runner.keep(firing)
        else:
            self.runner.start(firing)

    def _firing(self, hook: Hook, payload: Payload, depth: int, *, is_sample: bool = False) -> Firing:
        return Firing(new_id(), hook, payload, depth, self._around.wall(), is_sample=is_sample)

    # Queries

    def rows(self) -> tuple[HookRow, ...]:
        return tuple(map(self._row, self.hooks))

    def _row(self, hook: Hook) -> HookRow:
        tally = self.log.tally(hook.name)
        by_kind = "by kind" if not hook.has_timeout else "none" if hook.timeout is None else f"{hook.timeout:g}s"
        return HookRow(
            name=hook.name,
            on=hook.on,
            condition=" and ".join(map(str, hook.tests)),
            priority=hook.priority,
            actions=tuple(map(str, hook.actions)),
            timeout=by_kind,
            attempts=hook.attempts,
            delivery=hook.delivery,
            gate=hook.gate,
            fallback=Fallback(hook.fallback) if hook.gate else None,
            instance=hook.instance,
            fired=tally.fired,
            failed=tally.failed,
            dropped=tally.dropped,
            running=tally.running,
            last_at=tally.last_at,
        )

    async def test(self, name: EventName) -> tuple[HookRun, ...]:
        """Fires every hook on that event with a sample that meets its condition, as far as that can be made up. Returns
        when all have ended, or after `LONGEST_TEST` with those that still run."""
        gates = [self._sample_firing(hook, name) for hook in self.hooks if hook.gate and name.name in hook.on]
        if not self._by_event[name.name] and not gates:
            raise Refused(f"no hook is declared on {name.name}: `bullpen hooks list` shows those that are")
        began = [*gates, *(self._sample_firing(hook, name) for hook in self._by_event[name.name])]
        found: dict[str, list[HookRun]] = {}

        async def do(firing: Firing) -> None:
            try:
                if firing in gates:
                    found[firing.id] = [(await self.gates.ask(firing, str(firing.payload["text"])))[1]]
                else:
                    found[firing.id] = await self.runner.do(firing)
            except Suspended:
                pass

        with anyio.move_on_after(LONGEST_TEST):
            async with anyio.create_task_group() as group:
                for firing in began:
                    if holds(firing.doing.tests, firing.payload):  # type: ignore[union-attr]
                        group.start_soon(do, firing)
                    else:
                        skipped = firing.run(
                            RunState.SKIPPED, at=firing.at, detail="no sample could be made up that meets its condition"
                        )
                        found[firing.id] = [skipped]
        late = [f"had not ended after {LONGEST_TEST:g} s, and was given up" for _ in began]
        return tuple(
            run
            for firing, words in zip(began, late, strict=True)
            for run in found.get(
                firing.id, [*firing.runs, firing.run(RunState.FAILED, at=firing.at, seconds=LONGEST_TEST, detail=words)]
            )
        )

    def _sample_firing(self, hook: Hook, name: EventName) -> Firing:
        payload: dict[str, Value] = dict(sample_of(name, id=new_id()))
        for test in hook.tests:
            if test.how is How.IS and not test.negated:
                payload[test.field] = test.values[0]
            elif test.how is How.CONTAINS and not test.negated:
                payload[test.field] = spell(test.values[0])
        if hook.instance:
            payload["instance"] = hook.instance
        return self._firing(hook, payload, 0, is_sample=True)


def _is_for(hook: Hook, instance: str) -> bool:
    """Whether anything that happens to that agent can meet its condition."""
    return hook.instance in ("", instance) and all(
        holds((test,), {"instance": instance}) for test in hook.tests if test.field == "instance"
    )
