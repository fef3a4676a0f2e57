"""Puts hooks and schedules together with the engine that they call, and runs them beside it."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from supervisor.api.automation import Hook, OpenRun, Schedule, ScheduleMark
from supervisor.api.engine import Engine
from supervisor.api.errors import JournalFailed
from supervisor.api.events import (
    Event,
    HookFailed,
    InstanceClosed,
    InstanceOpened,
    TemplateChanged,
    TurnFinished,
)
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Question
from supervisor.api.states import Archetype
from supervisor.automation.automation import Automation
from supervisor.automation.ports import AutomationContext, HookRunStore, LinkMaker
from supervisor.config.client_variables import resolve
from supervisor.config.loading import hooks_for
from supervisor.engine.gated_prompts import GatedPrompts
from supervisor.engine.turn_registry import TurnRegistry
from supervisor.instance.instance import Instance
from supervisor.instance.shared import HostContext
from supervisor.process import guard

_log = logging.getLogger(__name__)


def compose(
    engine: Engine,
    hooks: Iterable[Hook],
    schedules: Iterable[Schedule],
    host: HostContext,
    instances: Mapping[str, Instance],
    turns: TurnRegistry,
    *,
    links: LinkMaker | None = None,
) -> Automation:
    """Hears the feed from now on; does something once it runs."""

    def find_prompt(turn_id: str) -> Prompt | None:
        if (turn := turns.get(turn_id)) is not None:
            return turn.prompt
        if host.log is not None and not host.log.is_closed:
            with suppress(JournalFailed):
                record = host.log.look_up_turn(turn_id)
                return record.prompt if record is not None else None
        return None

    def find_end(turn_id: str) -> TurnFinished | None:
        record = None
        if host.log is not None and not host.log.is_closed:
            with suppress(JournalFailed):
                record = host.log.look_up_turn(turn_id)
        if record is None or record.outcome is None:
            return None
        at = record.ended_at if record.ended_at is not None else host.clock.wall()
        return TurnFinished(at=at, outcome=record.outcome, turn=turn_id, **record.key._asdict())

    def find_archetype(name: str) -> Archetype | None:
        return instances[name].archetype if name in instances else None

    def find_question(question_id: str) -> Question | None:
        return next((one for one in host.pending_questions.open if one.id == question_id), None)

    def find_book() -> HookRunStore | None:
        return host.log.runs if host.log is not None and not host.log.is_closed else None

    def follow(values: Mapping[str, str], folder: Path) -> tuple[dict[str, str], dict[str, str]]:
        return resolve(values, folder, os.environ)

    around = AutomationContext(
        wall=host.clock.wall,
        find_prompt=find_prompt,
        find_end=find_end,
        find_archetype=find_archetype,
        find_question=find_question,
        resolve=follow,
        guard=_guard(),
        find_book=find_book,
        links=links,
        mark=f"{host.mark}:hook",
    )
    automation = Automation(engine, hooks, schedules, around, host.feed.publish, runs=host.keeps_queue)

    settings = host.settings  # hooks of the host are those of the start

    def follow_templates(event: Event) -> None:
        """Hooks of a template are declared anew with it."""
        if isinstance(event, TemplateChanged | InstanceOpened | InstanceClosed):
            automation.declare(hooks_for(settings, [one.template for one in instances.values()]))

    host.feed.listen(follow_templates)
    host.feed.listen(automation.hear)
    host.hear = automation.hear
    return automation


def _guard() -> tuple[str, ...]:
    """The command that a hook's program is started through. It ends with bullpen, and ends all that the program has
    started."""
    if not sys.platform.startswith("linux"):
        return ()
    return (sys.executable, "-I", "-S", str(Path(guard.__file__)))


class AutomationTask:
    """The task in which hooks and schedules run, from the start of a supervisor until its end begins."""

    def __init__(self, automation: Automation, prompts: GatedPrompts, host: HostContext) -> None:
        self._automation = automation
        self._gated_prompts = prompts
        self._host = host
        self._scope = anyio.CancelScope()
        self._ended: anyio.Event | None = None

    def start(self, tasks: TaskGroup, open_runs: Iterable[OpenRun], marks: Iterable[ScheduleMark]) -> None:
        self._ended = anyio.Event()
        tasks.start_soon(self._run, open_runs, marks, self._ended, name="hooks")

    async def end(self) -> None:
        """Returns when no action runs any more. What had not ended is done by the next start."""
        self._scope.cancel()
        self._gated_prompts.close()
        await self._automation.runner.sender.close()
        if self._ended is not None:
            await self._ended.wait()

    async def _run(self, open_runs: Iterable[OpenRun], marks: Iterable[ScheduleMark], ended: anyio.Event) -> None:
        try:
            with self._scope:
                await self._automation.run(open_runs=open_runs, marks=marks)
        except Exception as error:  # an internal error ends hooks and schedules, and nothing else
            _log.critical("hooks and schedules have ended", exc_info=error)
            message = f"hooks and schedules have ended: {type(error).__name__}; the log has the details"
            self._host.feed.publish(HookFailed(at=self._host.clock.wall(), hook="", on="", message=message))
        finally:
            ended.set()
