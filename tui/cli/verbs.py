"""Commands that change something in a running bullpen. What ends something asks first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import anyio
import typer

from tui.cli.exit_codes import FAILED
from tui.cli.output import say, tell
from tui.cli.running_engine import YesOption, command, is_agreed
from tui.cli.targets import check_agent, find_question, find_session

if TYPE_CHECKING:
    from supervisor import Answer, Engine, InstanceRow, Question, SessionKey, SessionRow, Ticket

app = typer.Typer(rich_markup_mode=None)

AgentArgument = Annotated[str, typer.Argument(metavar="AGENT", help="Name of the agent.")]
SessionArgument = Annotated[
    str, typer.Argument(metavar="SESSION", help="AGENT/USER/SESSION, or a part that only one has.")
]
PROGRESS_SECONDS = 0.5
VALUE_HELP = "As people write it: 5, 10m, 2GiB, none; default; configured brings back the value of the files."


@command(app)
async def answer(
    engine: Engine,
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="Its id, or the session that asks.")],
    words: Annotated[
        list[str],
        typer.Argument(metavar="ANSWER", help="allow, deny, or for a choice its number or a text: one for each part."),
    ],
    always: Annotated[bool, typer.Option("--always", help="Allow its like too, for the rest of the session.")] = False,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why it is denied; the agent is told.")] = "",
) -> None:
    """Answers a question of an agent."""
    snapshot = await engine.snapshot()
    wanted = find_question(question, snapshot)
    (found,) = [one for one in snapshot.questions if one.id == wanted]
    reply = _read_answer(found, words, always=always, reason=reason)
    await engine.answer(found.id, reply)
    say(f"answered: {found.key} {found.tool}: {' · '.join(words)}")


def _read_answer(question: Question, words: list[str], *, always: bool, reason: str) -> Answer:
    """Raises `Refused`."""
    from supervisor import Allow, Choose, Deny, QuestionKind, Refused
    from tui.cli.questions import describe_options, read_choice
    from tui.wording.format import some

    if words == ["deny"]:
        return Deny(reason)
    if question.kind is not QuestionKind.CHOICE:
        if words != ["allow"]:
            raise Refused(f"{question.tool} is allowed or denied: say allow or deny")
        if always and not question.always:
            raise Refused(f"“always” is not on offer for this call of {question.tool}: allow it once, or deny it")
        return Allow(always)
    if len(words) != len(question.choices):
        raise Refused(
            f"{some(len(question.choices), 'answer')} wanted, one for each part: see bullpen questions {question.id}"
        )
    answers = {}
    for item, word in zip(question.choices, words, strict=True):
        if word == "allow" and all(label != word for label, _ in item.options):
            raise Refused(f"{item.question} is a choice: say a number ({describe_options(item)}), other words, or deny")
        answers[item.question] = read_choice(item, word, is_argument=True)
    return Choose(answers)


@command(app)
async def drain(
    engine: Engine,
    agent: AgentArgument,
    deadline: Annotated[
        float | None,
        typer.Option("--deadline", metavar="S", min=0, help="Seconds until what still runs is interrupted."),
    ] = None,
    wait: Annotated[bool, typer.Option(help="Show how far it is, and return when it is empty.")] = True,
    yes: YesOption = False,
) -> int:
    """Empties an agent gently. Refuses new prompts, lets accepted ones end, closes every client, and shows how far that
    is; `resume` takes it back."""
    from supervisor import InstanceState

    snapshot = await engine.snapshot()
    check_agent(agent, snapshot)
    (row,) = [one for one in snapshot.instances if one.name == agent]
    seconds = snapshot.host.drain_deadline if deadline is None else deadline
    after = f"what still runs after {seconds:.0f} s is interrupted, what still waits is cancelled"
    after = f"{after}; bullpen resume {agent} takes it back until then"
    if row.state is InstanceState.DRAINING:
        after = "it drains already: asked again, what runs is interrupted and what waits is cancelled at once"
    if not await is_agreed(f"Drain {agent}?", [_counts(row), after], is_sure=yes):
        return FAILED
    await engine.drain(agent, deadline=deadline)
    if not wait:
        say(f"{agent} drains")
        return 0
    try:
        await _show_drain(engine, agent, row.active_sessions + row.waiting)
    except anyio.get_cancelled_exc_class():
        tell(f"{agent} goes on draining; bullpen resume {agent} takes it back")
        raise
    final = next((one.state.value for one in (await engine.snapshot()).instances if one.name == agent), "gone")
    say(f"{agent} is {final}")
    return 0 if final == "drained" else FAILED


async def _show_drain(engine: Engine, agent: str, before: int) -> None:
    """Returns when nothing is left, or the drain was taken back. A turn is over also when it was interrupted or
    cancelled at the deadline."""
    from supervisor import InstanceState
    from tui.wording.format import some

    last = ""
    while True:
        (row,) = [one for one in (await engine.snapshot()).instances if one.name == agent]
        left = row.active_sessions + row.waiting
        before = max(before, left)
        line = (
            f"draining {agent}: {before - left} of {some(before, 'turn')} over, {some(row.pool.total, 'client')} left"
        )
        line += f" · {row.note}" if row.note and left else ""
        if line != last:
            tell(line)
            last = line
        if row.state is not InstanceState.DRAINING:
            return
        await anyio.sleep(PROGRESS_SECONDS)


def _counts(row: InstanceRow) -> str:
    from tui.wording.format import some

    return f"{row.active_sessions} running, {row.waiting} waiting, {some(row.pool.total, 'client')}"


@command(app)
async def pause(engine: Engine, agent: AgentArgument) -> None:
    """New prompts queue and none begins. What runs goes on; `resume` takes it back."""
    await engine.pause(agent)
    say(f"{agent} is paused")


@command(app)
async def resume(engine: Engine, agent: AgentArgument) -> None:
    """Takes back pause, drain and kill. An agent that has parked itself tries again at once."""
    await engine.resume(agent)
    say(f"{agent} runs")


@command(app)
async def scale(
    engine: Engine,
    agent: AgentArgument,
    number: Annotated[int, typer.Argument(metavar="N", help="Turns that may run in parallel.")],
) -> None:
    """Changes how many turns may run in parallel. Until the next restart."""
    from tui.wording.format import some

    await engine.scale(agent, number)
    running = sum(row.active_sessions for row in (await engine.snapshot()).instances if row.name == agent)
    more = f"; {some(running - number, 'turn')} more than that is let end" if running > number else ""
    say(f"{agent} runs up to {some(number, 'turn')} in parallel{more}")


@command(app, "set")
async def set_(
    engine: Engine,
    limit: Annotated[str, typer.Argument(metavar="LIMIT", help="AGENT.LIMIT, or a limit of the host.")],
    value: Annotated[str, typer.Argument(metavar="VALUE", help=VALUE_HELP)],
) -> None:
    """Changes one limit until the next restart. Such as `set helpdesk.maxClients 8`, or `set max_agents 40`."""
    from supervisor import Refused
    from tui.operator.limit_line import WORDS, mistake_in_limit, read_limit, tell_change

    names = [row.name for row in (await engine.snapshot()).instances]
    line = read_limit(f"{limit} {value}", names)
    if mistake := mistake_in_limit(f"{limit} {value}", names):
        raise Refused(mistake)
    await engine.adjust(line.instance, line.limit, line.value)
    say(tell_change(line, await engine.limits(line.instance) if line.value.lower() in WORDS else {}))


@command(app)
async def kill(
    engine: Engine,
    target: Annotated[str, typer.Argument(metavar="TARGET", help="An agent, or one client such as helpdesk-3.")],
    yes: YesOption = False,
) -> int:
    """Ends processes now: an agent's, or one client. Of an agent with all that waits; sessions and their conversations
    stay."""
    from supervisor import Refused

    snapshot = await engine.snapshot()
    for row in snapshot.instances:
        if row.name == target:
            if not await is_agreed(f"Kill {target}?", [_counts(row), "all of it ends now"], is_sure=yes):
                return FAILED
            await engine.kill(target)
            say(f"{target} is being killed; bullpen resume {target} opens it again")
            return 0
    for client in snapshot.clients:
        if client.id == target:
            whose = f"it serves {client.key}" if client.key is not None else "a spare"
            if not await is_agreed(f"Kill {target}?", [whose, "its turn becomes interrupted"], is_sure=yes):
                return FAILED
            await engine.kill_client(target)
            say(f"{target} is being ended")
            return 0
    raise Refused(f"{target} is no agent and no client: see bullpen status and bullpen clients")


@command(app)
async def close(engine: Engine, session: SessionArgument, yes: YesOption = False) -> int:
    """Removes a session from the books. Its conversation is not resumed any more."""
    from tui.wording.format import some

    row = find_session(session, await engine.snapshot())
    if not await is_agreed(f"Close {row.key}?", [f"{some(row.turns, 'turn')} so far: its memory is lost"], is_sure=yes):
        return FAILED
    await engine.close_session(row.key)
    say(f"{row.key} is closed")
    return 0


@command(app)
async def interrupt(engine: Engine, session: SessionArgument, yes: YesOption = False) -> int:
    """Stops the turn of a session. Running, or waiting for its client; its queue stays."""
    row = find_session(session, await engine.snapshot())
    if not row.stoppable:
        tell(f"{row.key} has no turn to stop")
        return FAILED
    if not await is_agreed(f"Stop the turn of {row.key}?", [_what_runs(row)], is_sure=yes):
        return FAILED
    if not await engine.interrupt(row.key, row.stoppable):
        tell(f"the turn of {row.key} had ended already")
        return FAILED
    say(f"the turn of {row.key} is stopped")
    return 0


def _what_runs(row: SessionRow) -> str:
    return f"it works on: {row.about}" if row.about else ""


@command(app)
async def hibernate(engine: Engine, session: SessionArgument) -> None:
    """Ends an idle session's process. The conversation stays, and its next prompt resumes it."""
    row = find_session(session, await engine.snapshot())
    await engine.hibernate(row.key)
    say(f"{row.key} hibernates")


@command(app)
async def warm(engine: Engine, session: SessionArgument) -> int:
    """Gets a session's client ready: its user is about to write."""
    row = find_session(session, await engine.snapshot())
    if not await engine.warm(row.key):
        tell(f"{row.key} is left as it is: it is warm, has said nothing yet, or others come first")
        return FAILED
    say(f"{row.key} is being got ready")
    return 0


@command(app)
async def compact(engine: Engine, session: SessionArgument) -> None:
    """Puts a summary in the place of the conversation so far. That is a turn; its id is printed."""
    await _begin(engine, session, engine.compact)


@command(app)
async def clear(
    engine: Engine,
    target: Annotated[str, typer.Argument(metavar="TARGET", help="An agent, or a session.")],
    yes: YesOption = False,
) -> int:
    """Cancels what waits, of an agent or in one session. What runs goes on."""
    from tui.wording.format import some

    snapshot = await engine.snapshot()
    row = next((one for one in snapshot.instances if one.name == target), None)
    session = find_session(target, snapshot) if row is None else None
    waiting = row.waiting if row is not None else len(session.waiting) if session is not None else 0
    if not await is_agreed(f"Cancel what waits in {target}?", [f"{some(waiting, 'turn')} waiting"], is_sure=yes):
        return FAILED
    if session is not None:
        count = await engine.clear_queue(session.key.instance, session.key)
    else:
        count = await engine.clear_queue(target)
    say(f"{some(count, 'turn')} cancelled")
    return 0


@command(app)
async def replay(engine: Engine, session: SessionArgument) -> None:
    """Sends a turn that a restart interrupted again. It is a new turn; its id is printed."""
    await _begin(engine, session, engine.replay)


async def _begin(engine: Engine, session: str, verb: Callable[[SessionKey], Awaitable[Ticket]]) -> None:
    row = find_session(session, await engine.snapshot())
    ticket = await verb(row.key)
    say(f"turn {ticket.turn_id} of {row.key}: bullpen turn {ticket.turn_id} --follow waits for it")


@command(app)
async def drop(engine: Engine, session: SessionArgument, yes: YesOption = False) -> int:
    """Leaves a turn that a restart interrupted as it is. It is not offered any more."""
    row = find_session(session, await engine.snapshot())
    what = f"its prompt: {row.offer.text}" if row.offer is not None else ""
    if not await is_agreed(f"Drop the interrupted turn of {row.key}?", [what], is_sure=yes):
        return FAILED
    await engine.drop_offer(row.key)
    say(f"the interrupted turn of {row.key} is dropped")
    return 0


@command(app)
async def withdraw(
    engine: Engine,
    turn: Annotated[str, typer.Argument(metavar="TURN", help="The id of a turn, as `queue` tells it.")],
    yes: YesOption = False,
) -> int:
    """Cancels a turn that waits; interrupts it when it runs."""
    view = await engine.turn(turn)
    if view.outcome is not None:
        tell(f"turn {view.id} has ended already: bullpen turn {view.id} tells how")
        return FAILED
    if not await is_agreed(f"Withdraw turn {view.id} of {view.key}?", [f"it is {view.state.value}"], is_sure=yes):
        return FAILED
    await engine.withdraw(view.id)
    say(f"turn {view.id} is withdrawn")
    return 0


@command(app)
async def cleanup(engine: Engine) -> None:
    """Ends the processes of all idle sessions. Conversations stay, and their next prompts resume them."""
    from supervisor import Refused, SessionState
    from tui.wording.format import some

    resting = (SessionState.IDLE, SessionState.DORMANT)
    idle = [row.key for row in (await engine.snapshot()).sessions if row.state in resting]
    count, told_at = 0, anyio.current_time()
    for number, key in enumerate(idle, start=1):
        try:
            await engine.hibernate(key)
            count += 1
        except Refused:
            pass  # it has begun something in the meantime
        if anyio.current_time() - told_at > PROGRESS_SECONDS:
            told_at = anyio.current_time()
            tell(f"{number} of {some(len(idle), 'idle session')}")
    say(f"{some(count, 'idle session')} hibernated")
