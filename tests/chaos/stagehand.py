"""The child: a real `Supervisor` over real CLIs, moved by JSON lines on its input. It may be killed at any moment,
or told to end by signals, as often as anyone likes.

The first line in is the order: `state` (a folder), `environment`, `templates` (a folder that is followed), `settings`
and `orphans` (whether clients are to outlive this process). Then come commands, each with a `do`: submit, read,
withdraw, settle, resume, finish. Lines out have a `told`: ready, accepted, outcome, finished and others. The end of the
input ends it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskGroup

from supervisor.api import events as past
from supervisor.api.errors import AcceptanceUnknown, BullpenError, Refused
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Outcome, outcome_word
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Allow
from supervisor.api.states import InstanceState
from supervisor.claude import connector
from supervisor.config.loading import load_for
from supervisor.config.settings import Settings
from supervisor.engine.supervisor import Supervisor
from supervisor.sessions.turn import Turn
from tests.chaos.template_file import read_version
from tests.waiting import at_once
from tui.cli.signals import SIGNALS

AGENT = "desk"
LINE_LIMIT = 16 * 1024 * 1024
"""Bytes of one command."""
DRAIN = 20.0
"""Seconds that the last drain lets turns run before it interrupts them."""


def tell(told: str, **facts: object) -> None:
    sys.stdout.write(json.dumps({"told": told, "at": round(time.time(), 3), **facts}) + "\n")
    sys.stdout.flush()


async def read_lines() -> AsyncIterator[dict[str, Any]]:
    """Not with a thread: one that waits for input would hold up the end of the program."""
    reader = asyncio.StreamReader(limit=LINE_LIMIT)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)


class Stagehand:
    """Does what it is told, each command in a task of its own, and tells what the feed tells."""

    def __init__(self, supervisor: Supervisor, tasks: TaskGroup) -> None:
        self._supervisor = supervisor
        self._feed = at_once(supervisor.watch())
        self._tasks = tasks
        self._tickets: dict[str, Turn] = {}
        self._version = 0
        """Of the template, when the feed was last read."""

    async def obey(self, commands: AsyncIterator[dict[str, Any]]) -> None:
        """Returns at `finish`, or at the end of the input."""
        async for command in commands:
            match command.pop("do"):
                case "submit":
                    self._tasks.start_soon(self._submit, command)
                case "read":
                    self._tasks.start_soon(self._read, command["turn"], command["parts"], command["freeze"])
                case "withdraw":
                    self._withdraw(command["turn"])
                case "settle":
                    self._tasks.start_soon(self._settle, command)
                case "resume":
                    self._resume()
                case "finish":
                    await self._finish()
                    return

    async def watch(self) -> None:
        """Says yes to every question, and passes on what matters to the reckoning."""
        while True:
            await self._feed.wait()
            self._pass_on_all()

    def _pass_on_all(self) -> None:
        for event in self._feed.take().events:
            self._pass_on(event)
        # What is told from here on began with this version of the template, or a later one.
        (template,) = [one.template for one in self._supervisor._instances.values()]
        self._version = read_version(template.system_prompt)

    def _pass_on(self, event: past.Event) -> None:
        match event:
            case past.QuestionAsked(question=question):
                try:
                    at_once(self._supervisor.answer(question.id, Allow(), by="stagehand"))
                except Refused:
                    tell("noticed", text=f"question {question.id} was gone already")
            case past.TurnStarted(turn=turn):
                tell("begun", turn=turn, version=self._version)
            case past.TurnFinished(turn=turn, outcome=outcome):
                tell("finished", turn=turn, **_describe(outcome))
            case past.ContextLost(user=user, session=session):
                tell("noticed", text=f"{user}/{session} has lost its context")
            case past.ClientGone(client=client, left_over=left_over) if left_over:
                tell("left-over", client=client, processes=left_over)
            case past.EngineFailed(message=message):
                tell("engine-failed", text=message)
            case past.ClientFailed(message=message) | past.InstanceChanged(note=message):
                tell("noticed", text=message)
            case _:
                pass

    async def _submit(self, command: dict[str, Any]) -> None:
        ref = command["ref"]
        try:
            ticket = await self._supervisor.submit(Prompt(AGENT, command["text"], command["user"], command["session"]))
            await ticket.accepted()
        except AcceptanceUnknown as error:
            tell("noticed", text=str(error))  # it may run after all: neither accepted nor refused
            return
        except BullpenError as error:
            tell("refused", ref=ref, text=str(error))
            return
        tell("accepted", ref=ref, turn=ticket.turn_id)
        await self._await_outcome(ticket)

    async def _await_outcome(self, ticket: Turn) -> None:
        self._tickets[ticket.turn_id] = ticket
        try:
            tell("outcome", turn=ticket.turn_id, **_describe(await ticket.outcome()))
        except BullpenError as error:
            tell("noticed", text=f"{ticket.turn_id}: {error}")

    async def _read(self, turn_id: str, parts: int, freeze: bool) -> None:
        """A reader that takes some parts of a reply and then goes away, or stays and never takes another."""
        if (ticket := self._tickets.get(turn_id)) is None:
            return
        taken = 0
        async for _ in ticket.stream():
            taken += 1
            if taken == parts:
                if freeze:
                    await anyio.sleep_forever()
                return

    def _withdraw(self, turn_id: str) -> None:
        try:
            at_once(self._supervisor.withdraw(turn_id))
        except Refused as refusal:
            tell("noticed", text=str(refusal))

    async def _settle(self, command: dict[str, Any]) -> None:
        """Answers the offer of an interrupted turn."""
        key = SessionKey(AGENT, command["user"], command["session"])
        try:
            if not command["replay"]:
                await self._supervisor.drop_offer(key)
                tell("dropped", turn=command["turn"])
                return
            ticket = await self._supervisor.replay(key)
            await ticket.accepted()
        except BullpenError as refusal:
            tell("noticed", text=str(refusal))
            return
        tell("replayed", turn=command["turn"], by=ticket.turn_id)
        await self._await_outcome(ticket)

    def begin(self) -> None:
        """Tells what an earlier life has left: turns that wait, and interrupted ones on offer."""
        sessions = self._feed.snapshot.sessions
        tell("ready", open={turn.turn_id: turn.text for row in sessions for turn in row.waiting})
        for row in sessions:
            if row.offer is not None:
                tell("offer", user=row.key.user, session=row.key.session, turn=row.offer.turn_id)

    def _resume(self) -> None:
        """An operator does not wait until a parked pool tries again by itself."""
        (instance,) = self._supervisor.view.snapshot().instances
        if instance.state is InstanceState.PARKED:
            at_once(self._supervisor.resume(AGENT))
            tell("noticed", text=f"resumed, it was parked: {instance.parked_for}")

    async def _finish(self) -> None:
        await self._supervisor.drain(AGENT, deadline=DRAIN)
        await self._supervisor.drained(AGENT)
        self._pass_on_all()


def _describe(outcome: Outcome) -> dict[str, str]:
    reason = getattr(outcome, "message", "") or getattr(outcome, "reason", "")
    return {"outcome": outcome_word(outcome), "kind": str(getattr(outcome, "kind", "")), "reason": reason}


async def main() -> int:
    commands = read_lines()
    order = await anext(commands)
    state = Path(order["state"])
    settings = Settings(state_dir=state, templates_dir=Path(order["templates"]), rehearsal=True, **order["settings"])
    if order["orphans"]:
        # As where there is no parent-death signal: busy clients outlive this process, and the next one must end them.
        connector.wrap_cli = lambda folder: None
        order["environment"]["UNGUARDED"] = "yes"
    supervisor = Supervisor(load_for(settings).templates, settings, environment=order["environment"], is_live=True)
    scope = anyio.CancelScope()
    # As in the program: the first signal asks for the end, the others shorten it.
    async with SIGNALS.heeded(scope.cancel, supervisor.hurry), supervisor:
        with scope:
            async with anyio.create_task_group() as tasks:
                stagehand = Stagehand(supervisor, tasks)
                tasks.start_soon(stagehand.watch)
                stagehand.begin()
                await stagehand.obey(commands)
                tasks.cancel_scope.cancel()
    tell("bye")
    return 0


if __name__ == "__main__":
    SIGNALS.listen()
    sys.exit(SIGNALS.run(main))
