"""What a verb would do, in the words of the confirmation. Pure functions over the bridge's rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from supervisor import ClientRow, Offer, SessionRow, WhyWaiting
from tui.engine_link.bridge import Bridge, Work
from tui.operator.orders import Order, count_words
from tui.wording import format


class Consequence(NamedTuple):
    """What the operator is told before something ends."""

    title: str
    """The verb and its target, as a question."""
    facts: tuple[str, ...]
    """What ends, one line each."""
    after: str
    """What is left when it is done, and whether it can be taken back."""
    confirm: str
    """The button that does it."""
    words: str = ""
    """The line after `:` that does the same; empty when there is none."""
    typed: str = ""
    """A word that must be typed before the button works."""
    is_grave: bool = True
    """Whether work is lost."""
    recount: Callable[[], tuple[str, ...]] | None = None
    """Gives the facts as they are now, for a question that stays open while work goes on; None where they are about
    what was chosen, and do not change."""


def of_pause(bridge: Bridge, instance: str) -> Consequence:
    return Consequence(
        title=f"Pause {instance}?",
        facts=(count := _counting(bridge, instance, runs="run on", waits="wait until it is resumed"))(),
        recount=count,
        after="Nothing ends. New prompts queue, and callers who wait too long are refused. p takes it back.",
        confirm="Pause",
        words=f"pause {instance}",
        is_grave=False,
    )


def of_drain(bridge: Bridge, instance: str) -> Consequence:
    return Consequence(
        title=f"Drain {instance}?",
        facts=(count := _counting(bridge, instance, runs="run to their end", waits="still run"))(),
        recount=count,
        after=f"New prompts are refused at once. {until_interrupted(bridge)} D takes it back.",
        confirm="Drain",
        words=f"drain {instance}",
        is_grave=False,
    )


def until_kept(bridge: Bridge) -> str:
    """What the end of bullpen at the host's drain deadline means for turns, as a sentence."""
    left = "what still runs is cut off and offered at the next start, and what waits runs then"
    return f"After {format.duration(bridge.host.drain_deadline)} bullpen ends all the same: {left}."


def until_interrupted(bridge: Bridge) -> str:
    """What the host's drain deadline means for turns, as a sentence."""
    return (
        f"After {format.duration(bridge.host.drain_deadline)} what still runs is interrupted, what waits is cancelled."
    )


def of_second_drain(bridge: Bridge, instance: str) -> Consequence:
    return Consequence(
        title=f"Interrupt what holds up the drain of {instance}?",
        facts=(count := _counting(bridge, instance, runs="are interrupted", waits="are cancelled"))(),
        recount=count,
        after="The drain then ends at once.",
        confirm="Interrupt",
        words=f"drain {instance}",
    )


def of_kill(bridge: Bridge, instance: str) -> Consequence:
    return Consequence(
        title=f"Kill {instance}?",
        facts=(count := _counting(bridge, instance, runs="are cut off", waits="are cancelled"))(),
        recount=count,
        after="Its processes end now; conversations stay on disk. p opens it again.",
        confirm="Kill",
        words=f"kill {instance}",
    )


def of_kill_client(client: ClientRow, session: SessionRow | None) -> Consequence:
    whose = "a spare: no session uses it" if client.key is None else str(client.key)
    facts = [
        ", ".join(_process_words(client)),
        f"session: {whose}",
    ]
    if session is not None and session.turn_id:
        facts.append("its running turn is cut off")
    if session is not None and (behind := len(session.waiting)):
        facts.append(f"{format.some(behind, 'turn')} behind it {'waits' if behind == 1 else 'wait'} on")
    return Consequence(
        title=f"Kill client {client.id}?",
        facts=tuple(facts),
        after="The whole process tree ends. The session stays and is resumed by its next prompt.",
        confirm="Kill client",
        words=f"kill {client.id}",
    )


def _process_words(client: ClientRow) -> list[str]:
    if not client.pid:
        return ["its process has not started yet"]
    words = [f"pid {client.pid}", format.some(client.processes, "process", "processes")]
    return [*words, format.bytes_short(client.memory_bytes)] if client.memory_bytes else words


def of_clear_queue(target: str, waiting: int) -> Consequence:
    return Consequence(
        title=f"Clear the queue of {target}?",
        facts=(f"{format.some(waiting, 'waiting turn')} cancelled",),
        after="What runs goes on. Cancelled turns cannot be brought back.",
        confirm="Clear queue",
        words=f"clear {target}",
    )


def of_interrupt(session: SessionRow) -> Consequence:
    """What stopping the session's running turn does, or, while none runs, cancelling its next prompt."""
    key = session.key
    if session.turn_id:
        facts = ["its running turn is cut off"]
        after = "What its tools have done stays done. Its client and its queue stay."
    else:
        facts = [f"its next prompt is cancelled: “{session.waiting[0].text}”"] if session.waiting else []
        after = "Nothing of it has begun. What waits behind it goes on."
    behind = len(session.waiting) - (0 if session.turn_id else 1)
    if behind > 0:
        facts.append(f"{format.some(behind, 'turn')} behind it {'waits' if behind == 1 else 'wait'} on")
    return Consequence(
        title=f"Stop the turn of {key}?",
        facts=tuple(facts),
        after=after,
        confirm="Stop the turn",
        words=f"interrupt {key}",
    )


_SEVERAL: dict[str, tuple[str, str, str, bool]] = {
    "interrupt": ("Stop the turns of", "Stop turns", "The sessions, their clients and their queues stay.", True),
    "clear_queue": ("Clear the queues of", "Clear queues", "What runs goes on. Cancelled turns are lost.", True),
    "drain": (
        "Drain", "Drain",
        "New prompts are refused. At the deadline what runs is interrupted, what waits is cancelled. D undoes it.",
        False,
    ),
    "undo_drain": ("Undo the drain of", "Undo drain", "They accept prompts again.", False),
    "kill": ("Kill", "Kill", "Their processes end now; conversations stay on disk.", True),
    "pause": ("Pause", "Pause", "Nothing ends. New prompts queue until they are resumed.", False),
    "resume": ("Resume", "Resume", "They accept prompts again.", False),
    "hibernate": ("Hibernate", "Hibernate", "Their processes end; the conversations stay.", False),
    "compact": ("Compact", "Compact", "A summary takes the place of each conversation so far.", False),
    "close_session": (
        "Close", "Close sessions", "They leave the books: a later prompt under such a name begins anew.", True
    ),
    "replay": (
        "Replay the interrupted turns of", "Replay", "Each is sent again as a new turn. Tools may act a second time.",
        False,
    ),
    "drop_offer": (
        "Drop the interrupted turns of", "Drop", "They stay interrupted and cannot be replayed later.", True
    ),
    "scale": ("Scale", "Scale", "What runs goes on.", False),
}  # fmt: skip
"""By verb: how the question begins, the button, what is left afterwards, and whether work is lost."""


def of_several(verb: str, orders: Sequence[Order], left_out: int) -> Consequence:
    """One question about all targets of a verb, each on a line of its own. `left_out` counts marked rows that it cannot
    be done to."""
    asks, button, after, is_grave = _SEVERAL[verb]
    facts = [f"{order.name}: {order.facts}" for order in orders]
    if len(orders) > 1:
        facts.append(f"together {count_words(orders)}")
    if left_out:
        rows = "1 marked row is" if left_out == 1 else f"{left_out} marked rows are"
        facts.append(f"{rows} left out: it cannot be done there now")
    what = orders[0].name if len(orders) == 1 else f"{len(orders)} marked"
    return Consequence(title=f"{asks} {what}?", facts=tuple(facts), after=after, confirm=button, is_grave=is_grave)


def of_close(session: SessionRow) -> Consequence:
    facts = [f"{format.some(session.turns, 'turn')} of conversation"]
    if session.memory_bytes:
        facts.append(f"its idle client: {format.bytes_short(session.memory_bytes)}")
    return Consequence(
        title=f"Close {session.key}?",
        facts=tuple(facts),
        after="It leaves the books: a later prompt under this name begins a new conversation.",
        confirm="Close session",
        words=f"close {session.key}",
    )


def of_forget(user: str, sessions: Sequence[SessionRow], shared: Sequence[str] = ()) -> Consequence:
    """`shared`: agents with one session for all users, to which the user may have written as well."""
    running = sum(bool(row.turn_id) for row in sessions)
    waiting = sum(len(row.waiting) for row in sessions)
    size = sum(row.disk_bytes for row in sessions)
    facts = [f"{format.some(len(sessions), 'session')} with what was said in {'it' if len(sessions) == 1 else 'them'}"]
    if running:
        facts.append(f"{format.some(running, 'running turn')} cut off")
    if waiting:
        facts.append(f"{format.some(waiting, 'waiting turn')} cancelled")
    facts.append("workspaces and conversations on disk" + (f": {format.bytes_short(size)}" if size else ""))
    after = "Nothing of it can be brought back."
    if shared:
        after += f" What was said to {' and '.join(shared)} stays: all users share that session, until it is closed."
    return Consequence(
        title=f"Forget {user}?",
        facts=tuple(facts),
        after=after,
        confirm="Forget",
        words=f"forget {user}",
        typed=user,
    )


def of_replay(offer: Offer) -> Consequence:
    return Consequence(
        title=f"Replay the interrupted turn of {offer.key}?",
        facts=_offer_lines(offer),
        after="It is sent again as a new turn, and the unanswered prompt is cut from the conversation first. "
        "Tools that had already acted may act a second time.",
        confirm="Replay",
        words=f"replay {offer.key}",
        is_grave=False,
    )


def of_drop(offer: Offer) -> Consequence:
    return Consequence(
        title=f"Drop the interrupted turn of {offer.key}?",
        facts=_offer_lines(offer),
        after="It stays interrupted and cannot be replayed later. The session goes on with its next prompt.",
        confirm="Drop",
        words=f"drop {offer.key}",
    )


def _offer_lines(offer: Offer) -> tuple[str, ...]:
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(offer.started_at))
    return (f"“{offer.text}”", f"from {offer.source}, begun {began}, cut off by a restart")


def of_drain_all(bridge: Bridge) -> Consequence:
    return Consequence(
        title=f"Drain all of {format.some(len(bridge.instances), 'instance')}?",
        facts=(count := _counting(bridge, None, runs="run to their end", waits="still run"))(),
        recount=count,
        after=f"New prompts are refused everywhere. {until_interrupted(bridge)} D on an instance takes it back there.",
        confirm="Drain all",
        words="drain all",
        is_grave=False,
    )


def of_kill_all(bridge: Bridge) -> Consequence:
    return Consequence(
        title=f"Kill all of {format.some(len(bridge.instances), 'instance')}?",
        facts=(count := _counting(bridge, None, runs="are cut off", waits="are cancelled"))(),
        recount=count,
        after="Every process ends now; conversations stay on disk.",
        confirm="Kill all",
        words="kill all",
        typed="all",
    )


def of_detaching(bridge: Bridge, name: str) -> Consequence:
    return Consequence(
        title="Leave this dashboard?",
        facts=(count := partial(_going_on, bridge))(),
        recount=count,
        after=f"Nothing ends: it only detaches from {name}. `bullpen attach` comes back to it, and to what you "
        "have typed and not sent.",
        confirm="Leave",
        is_grave=False,
    )


def _going_on(bridge: Bridge) -> tuple[str, ...]:
    work = bridge.work()
    if work.is_idle:
        return ("nothing runs or waits there now",)
    running, queued = format.some(work.running, "turn"), format.some(work.queued, "prompt")
    return (f"{running} running and {queued} waiting there go on",)


def of_quit(bridge: Bridge) -> tuple[str, ...]:
    """What leaving the program would end, a line for each. A turn whose client was freed while its question waits has
    begun: it would be offered like one that runs."""
    work, begun = bridge.work(), sum(map(_waits_without_client, bridge.sessions.values()))
    work = work._replace(running=work.running + begun, asking=work.asking + begun, queued=work.queued - begun)
    return _work_lines(
        work, runs="would be cut off, and offered at the next start", waits="would wait for the next start"
    )


def _waits_without_client(row: SessionRow) -> bool:
    return not row.turn_id and bool(row.waiting) and row.waiting[0].why is WhyWaiting.QUESTION


def _counting(bridge: Bridge, instance: str | None, *, runs: str, waits: str) -> Callable[[], tuple[str, ...]]:
    return lambda: _work_lines(bridge.work(instance), runs=runs, waits=waits)


def _work_lines(work: Work, *, runs: str, waits: str) -> tuple[str, ...]:
    """A line for each kind of work there is; one line saying so when there is none."""
    lines = []
    if work.running:
        lines.append(f"{format.some(work.running, 'running turn')} {_agree(work.running, runs)}")
    if work.asking:
        one = "it waits" if work.running == 1 else "1 of them waits"
        lines.append(f"{one if work.asking == 1 else f'{work.asking} of them wait'} for your answer")
    if work.queued:
        lines.append(f"{format.some(work.queued, 'waiting turn')} {_agree(work.queued, waits)}")
    if work.clients:
        lines.append(f"{format.some(work.clients, 'client')}, {format.bytes_short(work.memory_bytes)}")
    return tuple(lines) or ("nothing runs and nothing waits",)


def _agree(number: int, words: str) -> str:
    """Puts `are cut off` and `still run` into the singular for one."""
    if number != 1:
        return words
    return _SINGULAR.get(words, words.replace("are ", "is "))


_SINGULAR = {
    "run to their end": "runs to its end",
    "still run": "still runs",
    "run on": "runs on",
    "wait until it is resumed": "waits until it is resumed",
}
