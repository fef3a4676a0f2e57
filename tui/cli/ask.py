"""`bullpen ask`: one prompt, its answer on stdout, everything else on stderr."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import anyio
from msgspec.structs import replace

from supervisor import (
    AUTO,
    Actor,
    Answer,
    BullpenError,
    Cursor,
    Deny,
    Done,
    Engine,
    Expired,
    Failed,
    Offer,
    Outcome,
    Prompt,
    Question,
    QuestionClosed,
    QuestionPosed,
    Refused,
    Route,
    StartsAgain,
    Supervisor,
    Ticket,
    UnknownTarget,
    acting,
    choose_agent,
    clean,
)
from tui.cli.block_text import STARTS_AGAIN
from tui.cli.exit_codes import DONE, FAILED
from tui.cli.output import tell, write
from tui.cli.questions import how_to_answer, put
from tui.cli.run import prepare
from tui.cli.signals import SIGNALS
from tui.cli.tables import show_json
from tui.cli.threads import run_apart
from tui.wording.format import first_line

if TYPE_CHECKING:
    from supervisor import RemoteEngine, Settings, Template


WITHDRAWN_WITHIN = 3.0
"""Seconds that the end of `ask` waits for the bullpen to take its turn back."""

UNATTENDED = "no terminal"
"""Who denied a question of a command that had no terminal to ask on, in the audit."""

BY_COMMAND = Actor(via="command")

SILENT_SECONDS = 2.0
"""After which a terminal is told that the answer is waited for."""


async def ask_once(templates: Sequence[Template], settings: Settings, prompt: Prompt, *, as_json: bool = False) -> int:
    """Streams the answer's text to stdout, or writes the turn as JSON there when it has ended. Returns the exit code: 0
    when the turn was done, 1 otherwise.

    Raises `Refused` when the prompt is not accepted or cannot be recorded, and `AcceptanceUnknown` when it is not known
    whether it was.
    """
    names = {template.name for template in templates}
    if prompt.agent == AUTO and AUTO not in names:
        route = choose_agent(prompt.text, templates, default=settings.routing.default)
        tell_route(route)
        prompt = replace(prompt, agent=route.agent)
    wanted = [with_one_client(template) for template in templates if template.name == prompt.agent]
    outcome: Outcome | None = None
    running: list[Supervisor] = []
    work = anyio.CancelScope()

    def hurry() -> None:
        for supervisor in running:
            supervisor.hurry()

    # Signals are heeded around the supervisor's whole life: its start is broken off by the first, its end shortened by
    # the others.
    async with SIGNALS.heeded(work.cancel, hurry):
        with work, told_if_slow(prompt.agent) as heard:
            async with prepare(wanted or templates, settings, name="ask", keeps_queue=False) as supervisor:
                running.append(supervisor)
                async with supervisor:
                    outcome = await _ask(supervisor, prompt, heard, as_json=as_json)
    return SIGNALS.exit_code or FAILED if outcome is None else tell_outcome(prompt.agent, outcome)


def tell_route(route: Route) -> None:
    tell(f"to {route.agent}: {route.reason}")


def with_one_client(template: Template) -> Template:
    """The template without the clients that it keeps for prompts to come (`spares`, `minClients`): there is one
    prompt."""
    pool = template.pool.model_copy(update={"spares": 0, "min_clients": 0})
    return template.model_copy(update={"pool": pool})


def tell_outcome(agent: str, outcome: Outcome) -> int:
    """Returns the exit code."""
    match outcome:
        case Done():
            return DONE
        case Failed(kind, message):
            tell(f"{agent} failed ({kind}): {message}")
        case Expired(message, _):
            tell(message)
        case other:
            tell(f"the turn did not finish: {other.reason}")
    return FAILED


async def ask_there(prompt: Prompt, engine: RemoteEngine, *, as_json: bool = False) -> int:
    """As `ask_once`, in a bullpen that is running already. The turn is withdrawn when this command is told to end.
    Raises what `Engine` raises."""
    if sys.stderr.isatty():
        tell(f"asking the bullpen that runs at {engine.name}")
    ticket: Ticket | None = None
    try:
        with told_if_slow(prompt.agent) as heard:
            ticket = await engine.submit(prompt)
            if (route := (await engine.turn(ticket.turn_id)).prompt.route) is not None:
                tell_route(route)
            async with anyio.create_task_group() as group:
                group.start_soon(_answer_own, engine, ticket, heard)
                await _show(ticket, engine, heard, as_json=as_json)
                outcome = await ticket.outcome()
                group.cancel_scope.cancel()
    except BaseException:
        if ticket is not None and ticket.finished is None:
            with anyio.move_on_after(WITHDRAWN_WITHIN, shield=True), suppress(BullpenError):
                await engine.withdraw(ticket.turn_id)
        raise
    return tell_outcome(ticket.key.instance, outcome)


@contextmanager
def told_if_slow(agent: str) -> Iterator[Callable[[], None]]:
    """One line on a terminal when nothing has been heard for a while; what is yielded says that something was."""

    def say() -> None:
        if sys.stderr.isatty():
            tell(f"waiting for {agent}: it is being started, or thinks …")

    timer = asyncio.get_running_loop().call_later(SILENT_SECONDS, say)
    try:
        yield timer.cancel
    finally:
        timer.cancel()


async def _ask(supervisor: Supervisor, prompt: Prompt, heard: Callable[[], None], *, as_json: bool) -> Outcome:
    with acting(BY_COMMAND):
        return await _submit_and_show(supervisor, prompt, heard, as_json=as_json)


async def _submit_and_show(
    supervisor: Supervisor, prompt: Prompt, heard: Callable[[], None], *, as_json: bool
) -> Outcome:
    async with anyio.create_task_group() as group:
        group.start_soon(_answer_questions, supervisor, heard)
        offers = {row.key: row.offer for row in (await supervisor.snapshot()).sessions if row.offer is not None}
        ticket = await supervisor.submit(prompt)
        await ticket.accepted()
        if (offer := offers.get(ticket.key)) is not None:
            tell(f"{describe_offer(offer)}; the dashboard can replay or drop it")
        await _show(ticket, supervisor, heard, as_json=as_json)
        outcome = await ticket.outcome()
        group.cancel_scope.cancel()
    return outcome


async def _show(ticket: Ticket, engine: Engine, heard: Callable[[], None], *, as_json: bool) -> None:
    if as_json:
        await ticket.outcome()
        show_json(await engine.turn(ticket.turn_id))
    else:
        await _show_reply(ticket, heard)


async def _show_reply(ticket: Ticket, heard: Callable[[], None]) -> None:
    is_watched = sys.stdout.isatty()
    # What was written to a pipe cannot be taken back: there, a block is written when it is whole.
    async for fragment in ticket.stream(whole=not is_watched):
        heard()
        text = STARTS_AGAIN if isinstance(fragment, StartsAgain) else fragment
        # A pipe that is not read, or a terminal whose flow is stopped, blocks this write and nothing else.
        await run_apart(partial(write, text, "the answer"))


def describe_offer(offer: Offer) -> str:
    """One line about the turn that a restart interrupted; a one-shot command decides nothing about it."""
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(offer.made_at))
    text = first_line(clean(offer.text), 80)
    return f"a restart at {when} interrupted this session's turn “{text}”"


async def _answer_questions(supervisor: Supervisor, heard: Callable[[], None]) -> None:
    """Asks the agent's questions at the terminal; without a terminal they are denied at once."""
    seen: set[str] = set()
    with await supervisor.watch() as feed:
        while True:
            await feed.wait()
            changes = feed.take()
            for question in changes.snapshot.questions if changes.snapshot else changes.questions or ():
                if question.id in seen:
                    continue
                seen.add(question.id)
                heard()
                is_attended = sys.stdin.isatty() and sys.stderr.isatty()
                answer = await put(question) if is_attended else deny_unattended(question)
                try:
                    await supervisor.answer(question.id, answer, by="terminal" if is_attended else UNATTENDED)
                except Refused as error:
                    tell(str(error))


async def _answer_own(engine: RemoteEngine, ticket: Ticket, heard: Callable[[], None]) -> None:
    """Asks the questions of this one turn at the terminal; without a terminal they are the operator's."""
    try:
        reader, cursor = await engine.conversation(ticket.key), Cursor()
    except UnknownTarget:
        return  # a call that leaves nothing behind, and has ended
    is_attended = sys.stdin.isatty() and sys.stderr.isatty()
    try:
        while True:
            reading = reader.read(cursor)
            closed = {entry.question_id for entry in reading.entries if isinstance(entry, QuestionClosed)}
            for entry in reading.entries:
                if not isinstance(entry, QuestionPosed) or entry.turn_id != ticket.turn_id:
                    continue
                if (question := entry.question).id in closed:
                    continue
                heard()
                if not is_attended:
                    tell(f"{question.tool} ({question.summary}) waits for an operator: {how_to_answer(question)}")
                    continue
                try:
                    await engine.answer(question.id, await put(question))
                except Refused as error:
                    tell(str(error))
            if reading.cursor == cursor:
                await reader.next_change()
            cursor = reading.cursor
    finally:
        reader.close()


def deny_unattended(question: Question) -> Answer:
    remedy = "while a bullpen runs (`bullpen serve`), it waits for an operator instead"
    if not question.choices:
        remedy = f"list it below `allow` in the template of {question.key.instance}; {remedy}"
    tell(f"denied {question.tool} ({question.summary}): this command has no terminal to ask on; {remedy}")
    return Deny("Denied without asking: the command that sent this prompt has no terminal to ask on")
