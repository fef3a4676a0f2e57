"""Commands that look at a running bullpen and change nothing."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from tui.cli.exit_codes import FAILED
from tui.cli.output import say, tell, write
from tui.cli.running_engine import JsonOption, command, telling_of_the_line
from tui.cli.tables import show_json, show_listing, show_table
from tui.cli.targets import check_agent, find_question, find_session

if TYPE_CHECKING:
    from supervisor import Engine, Event, Question, TurnView

app = typer.Typer(rich_markup_mode=None)

AgentFilter = Annotated[str, typer.Option("--agent", metavar="A", help="Only of this agent.")]
FollowOption = Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens next, until ctrl+c.")]
TurnArgument = Annotated[str, typer.Argument(metavar="TURN", help="The id of a turn, as `queue` and `ask` tell it.")]


@command(app)
async def status(engine: Engine, as_json: JsonOption = False) -> None:
    """What runs, what waits, and what is wrong, agent by agent."""
    from tui.wording import format, reasons, remedies

    snapshot, now = await engine.snapshot(), time.time()
    if as_json:
        show_json({"host": snapshot.host, "instances": snapshot.instances, "questions": snapshot.questions})
        return
    host = snapshot.host
    memory = f"{format.bytes_short(host.memory_bytes)} of {format.bytes_short(host.memory_budget)}"
    where = "rehearsal" if host.rehearsal else host.endpoint
    swap = f" · swap {format.bytes_short(host.swap_bytes)} of {format.bytes_short(host.swap_budget)}"
    up = format.age(now - host.started_at)
    say(f"bullpen {host.version} · {where} · up {up} · memory {memory}{swap if host.swap_budget else ''}")
    rows = [
        (
            row.name,
            row.state.value,
            str(row.active_sessions),
            str(row.waiting),
            str(row.questions),
            f"{row.pool.total}/{row.pool.max_clients}",
            str(row.pool.dormant or "-"),
            str(row.outdated or "-"),
            str(row.sessions),
            format.bytes_short(row.memory_bytes),
            reasons.standing(row, now, remedies.VERBS),
        )
        for row in snapshot.instances
    ]
    counts = ("RUNNING", "WAITING", "ASKING", "CLIENTS", "DORMANT", "DRIFT", "SESSIONS", "MEMORY")
    show_table(("AGENT", "STATE", *counts, "NOTE"), rows, none="no agents run here")
    for line in filter(None, (host.journal_failing and f"the journal cannot be written: {host.journal_failing}",)):
        tell(line)
    for line in host.left_out:
        tell(f"left out: {line}")
    if snapshot.questions:
        say(f"{format.some(len(snapshot.questions), 'question')} for you: bullpen questions")


@command(app)
async def sessions(engine: Engine, agent: AgentFilter = "", as_json: JsonOption = False) -> None:
    """Every session: its state, its queue, what it is about."""
    from tui.wording import format

    snapshot, now = await engine.snapshot(), time.time()
    found = [row for row in snapshot.sessions if agent in ("", row.key.instance)]
    found.sort(key=lambda row: -row.last_activity_at)
    if as_json:
        show_json(found)
        return
    rows = [
        (
            str(row.key),
            row.state.value,
            str(len(row.waiting)),
            str(row.turns),
            row.client_id or "-",
            format.bytes_short(row.memory_bytes),
            format.age(now - row.last_activity_at),
            row.note or row.about,
        )
        for row in found
    ]
    headings = ("SESSION", "STATE", "WAITING", "TURNS", "CLIENT", "MEMORY", "LAST", "ABOUT")
    show_table(headings, rows, none="no sessions")


@command(app)
async def clients(engine: Engine, agent: AgentFilter = "", as_json: JsonOption = False) -> None:
    """Every client process: its state, session and memory."""
    from tui.wording import dormancy, format

    snapshot, now = await engine.snapshot(), time.time()
    found = [row for row in snapshot.clients if agent in ("", row.instance)]
    if as_json:
        show_json(found)
        return
    rows = [
        (
            row.id,
            row.state.value,
            str(row.pid or "-"),
            format.bytes_short(row.memory_bytes),
            f"{row.cpu_percent:.0f}%",
            str(row.turns),
            format.age(now - row.started_at),
            str(row.key) if row.key is not None else "spare",
            row.tool or row.note or dormancy.short(row, now),
        )
        for row in found
    ]
    headings = ("CLIENT", "STATE", "PID", "MEMORY", "CPU", "TURNS", "AGE", "SESSION", "DOES")
    show_table(headings, rows, none="no clients")


@command(app)
async def queue(engine: Engine, agent: AgentFilter = "", as_json: JsonOption = False) -> None:
    """What waits, longest first, and why."""
    from tui.wording import format, reasons

    snapshot, now = await engine.snapshot(), time.time()
    instances = {row.name: row for row in snapshot.instances}
    found = [(row.key, turn) for row in snapshot.sessions if agent in ("", row.key.instance) for turn in row.waiting]
    found.sort(key=lambda one: one[1].queued_at)
    if as_json:
        show_json([{"session": key, "turn": turn} for key, turn in found])
        return
    rows = [
        (
            turn.turn_id,
            str(key),
            format.age(now - turn.queued_at),
            reasons.queue_words(turn, instances.get(key.instance), now),
            turn.text,
        )
        for key, turn in found
    ]
    show_table(("TURN", "SESSION", "WAITS", "WHY", "PROMPT"), rows, none="nothing waits")


@command(app)
async def questions(
    engine: Engine,
    question: Annotated[
        str, typer.Argument(metavar="QUESTION", help="One question, whole: its id, or its session.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """The open questions of agents, oldest first. With its id or session, one of them whole."""
    from tui.wording import format

    snapshot, now = await engine.snapshot(), time.time()
    found = list(snapshot.questions)
    if question:
        wanted = find_question(question, snapshot)
        found = [one for one in found if one.id == wanted]
    if as_json:
        show_json(found)
    elif question:
        _show_whole(found[0], now)
    else:
        rows = [
            (
                one.id,
                str(one.key),
                format.age(now - one.asked_at),
                format.countdown(one.expires_at - now),
                format.tool_name(one.tool),
                one.summary,
            )
            for one in found
        ]
        show_table(("QUESTION", "SESSION", "ASKED", "EXPIRES", "TOOL", "WHAT"), rows, none="no question is open")


def _show_whole(question: Question, now: float) -> None:
    from tui.cli.questions import how_to_answer
    from tui.wording import format
    from tui.wording.question_lines import lines_of

    left = format.countdown(question.expires_at - now)
    say(f"{question.key} asks for {format.tool_name(question.tool)}; expires in {left}")
    for line in lines_of(question):
        say(line.text)
    for item in question.choices:
        say(f"? {item.question}")
        for number, (label, about) in enumerate(item.options, start=1):
            say(f"  {number}. {label}  {about}")
    say(f"answer with: {how_to_answer(question)}")


@command(app)
async def turn(engine: Engine, turn: TurnArgument, follow: FollowOption = False, as_json: JsonOption = False) -> int:
    """How far a turn is, or how it ended. With --follow waits for its end. Exits 1 when it ended badly."""
    view = await engine.turn(turn)
    if follow and view.outcome is None:
        ticket = await engine.ticket(view.id)
        async with telling_of_the_line(engine):
            await ticket.outcome()
        view = await engine.turn(turn)
    if as_json:
        show_json(view)
    else:
        _show_turn(view)
        await _show_offer(engine, view)
    return _code_of(view)


def _show_turn(view: TurnView) -> None:
    from supervisor import TurnFinished
    from tui.wording import format
    from tui.wording.event_lines import line_of

    now = time.time()
    say(f"turn {view.id} of {view.key} is {view.state.value}")
    say(f"  prompt: {format.first_line(view.prompt.text)}")
    if (route := view.prompt.route) is not None:
        say(f"  chosen, because {route.reason or 'of words that are not kept'}")
    say(f"  queued {format.moment(view.queued_at, now)}" + (f", because {view.why.value}" if view.why else ""))
    if view.started_at is not None:
        say(f"  started {format.moment(view.started_at, now)}")
    if view.outcome is not None:
        say(f"  {line_of(TurnFinished(at=now, outcome=view.outcome))[0]}")
        if text := getattr(view.outcome, "text", ""):
            say("")
            for line in text.splitlines():
                say(line)


async def _show_offer(engine: Engine, view: TurnView) -> None:
    """Prints what can be done about a turn that a restart interrupted, while that is undecided."""
    from supervisor import Interrupted, Refused

    if not isinstance(view.outcome, Interrupted):
        return
    with suppress(Refused):  # a user's token sees no sessions
        offers = [row.offer for row in (await engine.snapshot()).sessions if row.key == view.key]
        if any(offer is not None and offer.turn_id == view.id for offer in offers):
            say(f"  bullpen replay {view.key} sends it again; bullpen drop {view.key} leaves it as it is")


def _code_of(view: TurnView) -> int:
    from supervisor import Done

    return 0 if view.outcome is None or isinstance(view.outcome, Done) else FAILED


@command(app)
async def logs(
    engine: Engine,
    session: Annotated[str, typer.Argument(metavar="SESSION", help="AGENT/USER/SESSION, or a part that only one has.")],
    follow: FollowOption = False,
    as_json: JsonOption = False,
) -> None:
    """What was said in a session, as far as it is at hand. With --follow a terminal shows words as they are written."""
    from supervisor import Cursor
    from tui.cli.log_text import LogText
    from tui.cli.threads import run_apart

    row = find_session(session, await engine.snapshot())
    reader = await engine.conversation(row.key)
    cursor, text, is_streamed = Cursor(), LogText(), follow and sys.stdout.isatty()
    try:
        async with telling_of_the_line(engine):
            while True:
                reading = reader.read(cursor)
                if as_json:
                    for entry in reading.entries:
                        show_json(entry)
                else:
                    for piece in text.take(reading, is_streamed=is_streamed):
                        await run_apart(partial(write, piece.text))
                if not follow:
                    return
                if reading.cursor == cursor:
                    await reader.next_change()
                cursor = reading.cursor
    finally:
        reader.close()


@command(app)
async def events(
    engine: Engine,
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=1, max=1_000, help="How many, the latest ones.")
    ] = 50,
    follow: FollowOption = False,
    as_json: JsonOption = False,
) -> None:
    """What happened lately, the latest last. Everything of this run that is remembered, and of earlier ones how turns
    ended and what operators did; with --follow it goes on from there."""
    show = show_json if as_json else _say_event
    with await engine.watch(limit) as feed:
        earlier = await engine.past()
        found = [*earlier, *feed.take().events][-limit:]
        for event in found:
            show(event)
        if not follow:
            if not found:
                tell("nothing has happened yet; --follow shows what happens from now on")
            return
        tell("following what happens; ctrl+c ends it")
        async with telling_of_the_line(engine):
            while True:
                await feed.wait()
                for event in feed.take().events:
                    show(event)


def _say_event(event: Event) -> None:
    from tui.wording.event_lines import line_of

    say(f"{time.strftime('%H:%M:%S', time.localtime(event.at))}  {line_of(event)[0]}")


@command(app)
async def contexts(engine: Engine, as_json: JsonOption = False) -> None:
    """What is prepared once for all clients of an agent."""
    show_listing("contexts", await engine.contexts(), as_json=as_json)


@command(app)
async def audit(
    engine: Engine,
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=10_000, help="How many, the latest ones.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """What operators did: who, from where, when, to what. Oldest first."""
    show_listing("audit", await engine.audit(count), as_json=as_json)


@command(app)
async def budgets(engine: Engine, as_json: JsonOption = False) -> None:
    """What may be spent today, what has been, and when it runs out. The fullest first."""
    show_listing("budgets", await engine.budgets(), as_json=as_json)


@command(app)
async def schedules(engine: Engine, as_json: JsonOption = False) -> None:
    """What is done at certain times: when next, and when last."""
    show_listing("schedules", await engine.schedules(), as_json=as_json)


@command(app)
async def servers(engine: Engine, as_json: JsonOption = False) -> None:
    """MCP servers that all clients share, and how each of them is."""
    show_listing("servers", await engine.servers(), as_json=as_json)


@command(app)
async def providers(engine: Engine, as_json: JsonOption = False) -> None:
    """Providers of models: which models there are, and how each is."""
    show_listing("providers", await engine.providers(), as_json=as_json)


@command(app)
async def limits(
    engine: Engine,
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="Of this agent; without, of the host.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Every limit that `set` can change, and its value now."""
    if agent:
        check_agent(agent, await engine.snapshot())
    found = await engine.limits(agent)
    if as_json:
        show_json(found)
        return
    show_table(("LIMIT", "VALUE"), found.items(), none="no limits")
