"""Why something waits, stands still or wants a decision: the sentences that every screen shares. Pure functions."""

from __future__ import annotations

from supervisor import (
    ClientRow,
    FailureKind,
    InstanceRow,
    InstanceState,
    Offer,
    Question,
    QuestionKind,
    SessionRow,
    SessionState,
    SlotState,
    WaitingTurn,
    WhyWaiting,
)
from tui.wording import format
from tui.wording.cells import Cell
from tui.wording.remedies import KEYS, VERBS, Remedies

PARKED_FOR: dict[FailureKind, str] = {
    FailureKind.RATE_LIMIT: "rate limit",
    FailureKind.AUTHENTICATION: "credentials refused",
    FailureKind.CRASH_LOOP: "crash loop",
}
"""Why a pool has stopped itself, as people say it; another kind is told by its own word."""

WAITS: dict[WhyWaiting, str] = {
    WhyWaiting.SESSION_BUSY: "an earlier turn of this session runs",
    WhyWaiting.SELF_BEGUN: "the agent runs a turn that it began by itself",
    WhyWaiting.NO_SLOT: "as many turns run, or as many clients are there, as may",
    WhyWaiting.MEMORY: "there is no memory for another client",
    WhyWaiting.PAUSED: "the agent is paused",
    WhyWaiting.DRAINING: "the agent is being drained",
    WhyWaiting.RATE_LIMIT: "the provider's rate limit",
    WhyWaiting.PARKED: "the agent has stopped itself",
    WhyWaiting.BACKING_OFF: "its client has crashed and is started again in a moment",
    WhyWaiting.DISK: "the disk is full: nothing can be recorded",
    WhyWaiting.STARTING: "its client is being started",
    WhyWaiting.WAKING: "its client sleeps, and is woken when one of those that wake now has",
    WhyWaiting.BUDGET: "the budget is reached; the operator is asked whether it may run",
    WhyWaiting.QUESTION: "the turn before it waits for an answer",
}
"""Why a turn has not started, for a person who sent it."""

BY_THE_POOL = frozenset({WhyWaiting.RATE_LIMIT, WhyWaiting.PARKED})
"""Reasons that end when the pool tries again."""


def why_cells(
    row: SessionRow, question: Question | None, client: ClientRow | None, now: float, by: Remedies = KEYS
) -> tuple[Cell, ...]:
    """Why the session waits, or what it does, and for how long. `question` is its oldest open one."""
    queued = Cell(f"  +{len(row.waiting)} queued", "accent") if row.waiting else Cell("")
    if row.state is SessionState.ASKING and question is not None:
        return (
            Cell(f"{asked_for(question)} ", "warn"),
            Cell(format.age(now - question.asked_at)),
            queued,
            Cell(f"  {question.summary}", "dim"),
            *about_cells(row),
        )
    if row.state is SessionState.INTERRUPTED and row.offer is not None:
        offer = row.offer
        return (
            Cell(by.decide, "warn"),
            queued,
            Cell(f"  “{offer.text}”"),
            Cell(f"  by a restart at {format.moment(offer.made_at, now)}", "dim"),
            Cell(f"  {expiry(offer, now)}", "dim"),
        )
    if row.state is SessionState.STALLED:
        silent = "silent" if row.silent_since is None else f"silent {format.duration(now - row.silent_since)}"
        tool = (
            ""
            if client is None or not client.tool
            else f"  {format.tool_name(client.tool)}{since(client.tool_started_at, now)}"
        )
        cpu = "" if client is None else f"  cpu {client.cpu_percent:.0f}%"
        return (Cell(silent, "warn"), Cell(tool), Cell(cpu, "dim"), queued, *about_cells(row))
    if row.state is SessionState.WAITING and row.waiting:
        first = row.waiting[0]
        more = f"  +{len(row.waiting) - 1}" if len(row.waiting) > 1 else ""
        return (
            Cell(str(row.why or first.why), "accent"),
            *_named(row.awaited_servers),
            Cell(f" {format.age(now - first.queued_at)}"),
            Cell("" if first.place is None else f"  {format.ordinal(first.place)}", "accent"),
            Cell(more, "accent"),
            Cell(f"  {first.text}", "dim"),
        )
    if row.turn_started_at is not None:
        wakes = (Cell("  waking its client", "accent"),) if is_waking(client) else ()
        doing = (
            ""
            if client is None or not client.tool
            else f"  {format.tool_name(client.tool)}{since(client.tool_started_at, now)}"
        )
        alone = (Cell("  begun by itself", "dim"),) if row.is_self_begun else ()
        servers = ", ".join(row.awaited_servers)
        held = (Cell(f"  waits for MCP server {servers}", "accent"),) if servers else ()
        age = Cell(format.age(now - row.turn_started_at), "busy")
        return (age, *wakes, Cell(doing), *held, *alone, queued, *about_cells(row))
    if not (row.note or queued.text):
        return about_cells(row, gap="")
    return (Cell(row.note, "" if row.state is SessionState.FAILED else "dim"), queued, *about_cells(row))


def is_waking(client: ClientRow | None) -> bool:
    """Whether the client was woken and has given no sign of life yet."""
    return client is not None and client.state is SlotState.WAKING


ABOUT_CELLS = 36
"""Cells of the prompt's first words where a reply stands behind them."""


def about_cells(row: SessionRow, gap: str = "  ") -> tuple[Cell, ...]:
    """The first words of the prompt, then the newest line of the reply."""
    if not row.about:
        return (Cell(f"{gap}{row.latest}", "dim"),) if row.latest else ()
    if not row.latest:
        return (Cell(f"{gap}{row.about}"),)
    return (Cell(f"{gap}{format.cut(row.about, ABOUT_CELLS)}"), Cell(f" › {row.latest}", "dim"))


def _named(servers: tuple[str, ...]) -> tuple[Cell, ...]:
    return (Cell(f" (MCP server {', '.join(servers)})", "accent"),) if servers else ()


def asked_for(question: Question) -> str:
    """The tool that wants permission, or that a choice is to be made."""
    return "choice" if question.kind is QuestionKind.CHOICE else format.tool_name(question.tool)


# A turn that a restart interrupted


def offer_sentence(offer: Offer, now: float, decide: str) -> str:
    """The whole of it in one line: since when, what can be done (`decide`, if anything), which prompt, how long."""
    since = f"interrupted by a restart at {format.moment(offer.made_at, now)}"
    return f"{f'{since}: {decide}' if decide else since} · “{offer.text}” · {expiry(offer, now)}"


def expiry(offer: Offer, now: float) -> str:
    left = offer.expires_at - now
    return f"dropped in {format.age(left)}" if left > 0 else "dropped now"


# A turn that gives no sign of life


def silence(row: SessionRow, client: ClientRow | None, now: float) -> str:
    """`silent for 2m10, Bash since 1m50, cpu 3%`."""
    words = [] if row.silent_since is None else [f"silent for {format.duration(now - row.silent_since)}"]
    if client is not None:
        if client.tool:
            began, tool = client.tool_started_at, format.tool_name(client.tool)
            words.append(tool if began is None else f"{tool} since {format.duration(now - began)}")
        words.append(f"cpu {client.cpu_percent:.0f}%")
    return ", ".join(words) or "silent"


def progress(client: ClientRow, now: float) -> str:
    """The clocks that tell a slow turn from a dead one: last event, tool in flight, CPU of the whole tree."""
    tool = "no tool in flight"
    if client.tool:
        began = client.tool_started_at
        tool = f"{format.tool_name(client.tool)} in flight" + (
            "" if began is None else f" for {format.duration(now - began)}"
        )
    last = format.duration(now - client.last_event_at)
    return f"last event {last} ago, {tool}, its tree uses {client.cpu_percent:.0f}% of a core"


# A pool that has stopped itself, or was stopped


def parked_words(row: InstanceRow, now: float, by: Remedies = KEYS) -> str:
    """`rate limit, tries again in 0:42`; empty for a pool that is not parked."""
    if row.state is not InstanceState.PARKED or row.parked_for is None:
        return ""
    return ", ".join(filter(None, (PARKED_FOR.get(row.parked_for, str(row.parked_for)), retry_words(row, now, by))))


def retry_words(row: InstanceRow, now: float, by: Remedies = KEYS) -> str:
    """When a parked pool tries again, or the key that makes it; empty when there is neither."""
    if row.parked_until is None:
        return f"{by.resume} tries again" if by.resume else ""
    left = row.parked_until - now
    return f"tries again in {format.countdown(left)}" if left > 0 else "tries again now"


def standing(row: InstanceRow, now: float, by: Remedies = KEYS) -> str:
    """Why an instance does not run as it should; its note, or what is better than its note. Empty when all is well."""
    return parked_words(row, now, by) or note_words(row, by) or held_words(row) or recently_refused(row, now)


def note_words(row: InstanceRow, by: Remedies = KEYS) -> str:
    """The instance's note, and the key that takes a stop back: `not started: p starts it`."""
    taken_back = f"{by.resume} {row.resume_does}" if by.resume and row.resume_does else ""
    return ": ".join(filter(None, (row.note, taken_back)))


def alarm(row: InstanceRow, now: float, by: Remedies = KEYS) -> str:
    """What an operator can act on: why an instance does not run, or what delays one that does."""
    if row.state is InstanceState.RUNNING:
        return " · ".join(filter(None, (held_words(row), recently_refused(row, now))))
    return standing(row, now, by)


RECENT = 600.0
"""Seconds for which a refusal is news."""


def recently_refused(row: InstanceRow, now: float) -> str:
    """`3 prompts refused, the last 40s ago`; empty when the last is no news any more. `d` keeps the number."""
    if row.refused_at is None or now - row.refused_at > RECENT:
        return ""
    return refused_words(row, now)


def refused_words(row: InstanceRow, now: float) -> str:
    """How many prompts were refused for want of room, and when the last was; empty without one. Otherwise only the log
    has them."""
    if row.refused_at is None:
        return ""
    return f"{format.some(row.refused, 'prompt')} refused, the last {format.age(now - row.refused_at)} ago"


def held_words(row: InstanceRow) -> str:
    """`2 of 3 turns wait for your answers, 4 queued behind them`; empty when no turn is held up by a question."""
    asking = row.pool.asking
    if not (asking and row.waiting and row.active_sessions >= row.max_sessions):
        return ""
    if row.max_sessions == 1:
        return f"its only turn waits for your answer, {row.waiting} queued behind it"
    verb = "waits for your answer" if asking == 1 else "wait for your answers"
    return f"{asking} of {row.max_sessions} turns {verb}, {row.waiting} queued behind them"


# A turn that waits


def place_words(turn: WaitingTurn, instance: InstanceRow | None) -> str:
    """`2nd of 7 in the queue`; empty for a turn that something else than the pool holds up."""
    if turn.place is None:
        return ""
    if instance is None or instance.waiting < turn.place:
        return f"{format.ordinal(turn.place)} in the queue"
    return f"{format.ordinal(turn.place)} of {instance.waiting} in the queue"


def full_words(instance: InstanceRow, by: Remedies = KEYS) -> str:
    """`3 of 3 turns run (maxSessions), 2 of them wait for you: s raises it`: which limit a turn without a place waits
    for, who may be asked, and what changes it. Empty when no limit is reached."""
    limit, asking = instance.limit, instance.pool.asking
    if limit is None:
        return ""
    waits = f", {asking} of them wait{'s' if asking == 1 else ''} for you" if asking else ""
    name = "max_agents" if limit.setting == "max_agents" else f"{instance.name}.{limit.setting}"
    remedy = by.scale if limit.setting == "maxSessions" else by.set.format(name)
    return f"{limit}{waits}" + (f": {remedy} raises it" if remedy else "")


def queue_words(turn: WaitingTurn, instance: InstanceRow | None, now: float) -> str:
    """`no-slot, 3 of 3 turns run (maxSessions), 2nd of 7 in the queue`: all of it, where no key can be pressed."""
    limit = instance.limit if instance is not None and turn.why is WhyWaiting.NO_SLOT else None
    return ", ".join(filter(None, (turn.why, str(limit or ""), wait_words(turn, instance, now, VERBS))))


def wait_words(turn: WaitingTurn, instance: InstanceRow | None, now: float, by: Remedies = KEYS) -> str:
    """The prompt's place in the queue, or when the parked pool tries again; empty when the reason says it all."""
    if turn.why in BY_THE_POOL and instance is not None and instance.state is InstanceState.PARKED:
        return retry_words(instance, now, by)
    return place_words(turn, instance)


def since(start: float | None, now: float) -> str:
    """` 6s`, to stand behind what began then."""
    return "" if start is None else f" {format.age(now - start)}"
