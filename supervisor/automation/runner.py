"""Does the actions of what has fired: each firing in a task of its own, its actions one after the other.

Nothing here is waited for by a turn, and nothing that fails here reaches the engine: it is told, counted and kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio
from anyio.abc import TaskGroup

from supervisor.api.automation import Action, ActionKind, Payload
from supervisor.api.engine import Engine
from supervisor.api.errors import BullpenError, Suspended
from supervisor.api.event_names import SAMPLE_QUESTION
from supervisor.api.events import Event, HookFailed, TurnFinished
from supervisor.api.hook_rows import HookRun, RunState
from supervisor.automation.agent_action import prompt_agent
from supervisor.automation.attempt import MOST_DETAIL, ActionFailed, Attempt
from supervisor.automation.depths import Depths
from supervisor.automation.firing import Firing, note_end
from supervisor.automation.http_action import Sender
from supervisor.automation.notice import send_notice
from supervisor.automation.ports import AutomationContext
from supervisor.automation.run_log import RunLog
from supervisor.automation.shell_action import Ended, start_program, tell_code
from supervisor.text.cleaning import one_line

MOST_OPEN = 2_000
"""Firings that wait or run; further ones are left out, counted and told."""
MOST_PROGRAMS = 8
"""Programs that run at once."""
MOST_REQUESTS = 32
"""HTTP requests and notices on their way at once."""
LONGEST_BACKOFF = 300.0
"""Seconds between two tries."""
TOLD_EVERY = 10.0
"""Seconds between two events that tell of dropped firings of one hook."""

_log = logging.getLogger(__name__)


class Runner:
    def __init__(
        self, engine: Engine, around: AutomationContext, log: RunLog, depths: Depths, tell: Callable[[Event], None]
    ):
        self._engine = engine
        self._around = around
        self.wall = around.wall
        self.log = log
        self._depths = depths
        self._tell = tell
        self._tasks: TaskGroup | None = None
        self._open: dict[str, Firing] = {}
        """Firings that wait or run, by id."""
        self._told_dropped: dict[str, float] = {}
        self._programs = anyio.CapacityLimiter(MOST_PROGRAMS)
        self._requests = anyio.CapacityLimiter(MOST_REQUESTS)
        self.sender = Sender(around.resolve)

    def __len__(self) -> int:
        """Firings that wait or run."""
        return len(self._open)

    async def run(self, work: Callable[[], object]) -> None:
        """Runs `work`, and firings beside it, until it is cancelled. What has not ended then stays where it is kept."""
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                await work()  # type: ignore[misc]
        finally:
            self._tasks = None
            with anyio.CancelScope(shield=True):
                await self.sender.close()

    def keep(self, firing: Firing) -> None:
        """Records it, when it survives a crash."""
        book = self._around.find_book()
        if firing.is_kept and book is not None:
            book.keep(firing.kept())

    def keep_end(self, event: TurnFinished) -> str:
        """Records that a turn has ended and hooks are not fired yet. The id of that; empty when nothing is recorded."""
        if (book := self._around.find_book()) is None:
            return ""
        run = note_end(event)
        book.keep(run)
        return run.id

    def settle_end(self, run_id: str) -> None:
        """Removes the note that a turn has ended, because all that was to be fired for it is recorded."""
        if (book := self._around.find_book()) is not None:
            book.settle(run_id, may_wait=True)

    def forget(self, user: str) -> None:
        """Stops recording runs that the user has caused. They go on."""
        for firing in self._open.values():
            if user in (firing.payload.get("user"), firing.payload.get("sender")):
                firing.is_forgotten = True

    def start(self, firing: Firing, *, is_kept: bool = False) -> None:
        """Begins it, or drops it when too many are open. `is_kept`: it is recorded already."""
        if len(self._open) >= MOST_OPEN:
            self.drop(firing, f"{MOST_OPEN:,} runs are open already")
            return
        self.log.tally(firing.doing.name).fired += 1
        if not is_kept:
            self.keep(firing)
        if self._tasks is not None:
            self._open[firing.id] = firing
            self._tasks.start_soon(self._attend, firing, name=f"hook {firing.doing.name}")

    def drop(self, firing: Firing, why: str) -> None:
        now = self.wall()
        self.log.note(firing.run(RunState.DROPPED, at=now, detail=why))
        name = firing.doing.name
        if not 0 <= now - self._told_dropped.get(name, 0.0) < TOLD_EVERY:  # a clock may be set back
            self._told_dropped[name] = now
            self.tell_failed(firing, f"left out: {why}")

    def skip(self, firing: Firing, why: str) -> None:
        self.log.note(firing.run(RunState.SKIPPED, at=self.wall(), detail=why))

    async def _attend(self, firing: Firing) -> None:
        try:
            await self.do(firing)
        except Suspended:
            pass  # bullpen stops and keeps the prompt: the run is taken up again with it
        except Exception:
            # An internal error in one hook must end neither the other hooks nor the engine.
            _log.exception("a run of the hook %s failed", firing.doing.name)
            self._settle(firing)
        finally:
            del self._open[firing.id]

    async def do(self, firing: Firing) -> list[HookRun]:
        """Runs all actions in order and returns one `HookRun` for each. Raises `Suspended` when bullpen stops in the
        middle."""
        while firing.action is not None:
            firing.runs.append(await self._do_next(firing))
            firing.done, firing.tried, firing.is_revived = firing.done + 1, 0, False
            if firing.action is not None:
                self.keep(firing)
        self._settle(firing)
        return firing.runs

    def _settle(self, firing: Firing) -> None:
        book = self._around.find_book()
        if firing.is_kept and book is not None:
            book.settle(firing.id)

    async def _do_next(self, firing: Firing) -> HookRun:
        began, steady = self.wall(), anyio.current_time()
        # What was being tried when bullpen ended is tried again under the same number: it may have been done.
        firing.tried = max(1, firing.tried)
        run = firing.run(RunState.RUNNING, at=began)
        self.log.begin(run)
        try:
            while True:
                try:
                    detail, state = await self._try(firing), RunState.DONE
                    break
                except ActionFailed as error:
                    detail, state = str(error), RunState.FAILED
                if firing.tried >= firing.doing.attempts:
                    break
                await anyio.sleep(min(LONGEST_BACKOFF, firing.doing.backoff * 2 ** (firing.tried - 1)))
                firing.tried, firing.is_revived = firing.tried + 1, False
                self.keep(firing)
            seconds = anyio.current_time() - steady
            run = firing.run(state, at=began, seconds=seconds, detail=one_line(detail, MOST_DETAIL))
        except BaseException:
            seconds = anyio.current_time() - steady
            run = firing.run(RunState.SKIPPED, at=began, seconds=seconds, detail="given up before it had ended")
            raise
        finally:
            self.log.end(run)
        if run.state is RunState.FAILED:
            self.tell_failed(firing, f"{run.action}: {run.detail}")
        return run

    async def _try(self, firing: Firing) -> str:
        """One try of the next action. Raises `ActionFailed` or `Suspended`."""
        action, attempt, payload = firing.action, firing.attempt(), firing.payload
        assert action is not None
        try:
            match action.kind:
                case ActionKind.AGENT:
                    archetype = self._around.find_archetype(action.target)
                    if archetype is None:
                        raise ActionFailed(f"there is no agent {action.target}")
                    self._depths.note_sent(action.target, attempt.depth)
                    return await prompt_agent(self._engine, action, attempt, payload, archetype)
                case ActionKind.SHELL:
                    async with self._programs:
                        ended = await self.start_program(action, attempt, {**payload, "id": attempt.id})
                    if ended.code != 0:
                        raise ActionFailed(tell_code(ended, action.command[0]))
                    return one_line(ended.output, MOST_DETAIL)
                case ActionKind.HTTP:
                    async with self._requests:
                        answer = await self.sender.send_event(action, attempt, {**payload, "id": attempt.id})
                    return f"answered {answer.status}"
                case ActionKind.NOTIFY:
                    async with self._requests:
                        link = self._link(firing) if action.link else ""
                        told = await send_notice(self.sender, action, attempt, {**payload, "id": attempt.id}, link)
                    if action.link and not link:
                        told += ", without a link: [gateway] has no public_url and no address to listen at"
                    return told
        except (ActionFailed, Suspended):
            raise
        except BullpenError as error:
            raise ActionFailed(str(error)) from error
        except Exception as error:
            _log.exception("an action of the hook %s failed", firing.doing.name)
            raise ActionFailed(
                f"an internal error of bullpen ({type(error).__name__}); its log has the details"
            ) from error

    async def start_program(self, action: Action, attempt: Attempt, payload: Payload) -> Ended:
        """Raises `ActionFailed`."""
        around = self._around
        return await start_program(
            action, attempt, payload, resolve=around.resolve, guard=around.guard, mark=around.mark
        )

    def _link(self, firing: Firing) -> str:
        """The address at which the question is answered. Raises `ActionFailed` when there is nothing to answer."""
        links = self._around.links
        if links is None:
            return ""
        if firing.is_sample:
            return links.make(SAMPLE_QUESTION, is_sample=True)
        question = self._around.find_question(str(firing.payload.get("question", "")))
        if question is None:
            raise ActionFailed("the question has been settled meanwhile")
        return links.make(question)

    def tell_failed(self, firing: Firing, message: str) -> None:
        if firing.is_sample:
            return
        ids = {name: str(firing.payload.get(name, "")) for name in ("instance", "user", "session", "turn")}
        self._tell(
            HookFailed(
                at=self.wall(),
                hook=firing.doing.name,
                on=str(firing.payload.get("event", "")),
                message=one_line(message, MOST_DETAIL),
                **ids,
            )
        )
