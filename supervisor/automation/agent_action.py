"""Sends a prompt to an agent and waits for what becomes of it. The archetype of that agent decides how (S1.19, S1.28).

tool       called directly, for five minutes; a conversation of its own that leaves none behind
employee   a task in its queue, for ten minutes; its one conversation
service    a new session, or the one that is named, for as long as it takes; what has no room queues
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import NamedTuple

import anyio
from msgspec.structs import replace

from supervisor.api.automation import Action, Payload
from supervisor.api.engine import Engine, Ticket
from supervisor.api.errors import BullpenError, OverShare, Saturated
from supervisor.api.outcomes import Cancelled, Done, Expired, Outcome, outcome_word
from supervisor.api.prompts import Prompt, Source
from supervisor.api.states import Archetype
from supervisor.automation.attempt import ActionFailed, Attempt
from supervisor.automation.substitution import fill

USER = "automation"
"""On whose behalf a hook prompts when it does not say."""
SHORTEST_WAIT, LONGEST_WAIT = 0.05, 30.0
"""Seconds before a prompt that found no room is handed in again."""


class Strategy(NamedTuple):
    """How an agent of one archetype is prompted."""

    timeout: float | None
    """Seconds that a hook waits unless it says otherwise; None is for as long as it takes."""
    needs_session: bool
    """Without a name for it, each run gets a new session."""
    queues: bool
    """A prompt that has waited too long for a place is handed in again."""


STRATEGIES = {
    Archetype.TOOL: Strategy(300.0, needs_session=False, queues=False),
    Archetype.EMPLOYEE: Strategy(600.0, needs_session=False, queues=True),
    Archetype.SERVICE: Strategy(None, needs_session=True, queues=True),
}


async def prompt_agent(engine: Engine, action: Action, attempt: Attempt, payload: Payload, archetype: Archetype) -> str:
    """Prompts an agent, and returns what came of it on one line. Raises `ActionFailed`, or `Suspended` when bullpen
    stops and keeps the prompt."""
    strategy = STRATEGIES[archetype]
    session = fill(action.session, payload) if archetype is not Archetype.EMPLOYEE else ""
    prompt = Prompt(
        agent=action.target,
        text=fill(action.text, payload),
        user=fill(action.user, payload) or USER,
        session=session or (f"hook-{attempt.id}" if strategy.needs_session else ""),
        source=Source.HOOK,
        depth=attempt.depth,
    )
    limit = attempt.timeout if attempt.has_timeout else strategy.timeout
    ticket: Ticket | None = None
    outcome: Outcome | None = None
    with anyio.move_on_after(math.inf if limit is None else limit):
        for number in range(1_000_000):
            name = f"hook-{attempt.id}-{attempt.number}" + (f".{number}" if number else "")
            try:
                ticket = await engine.submit(_named(prompt, name))
                await ticket.accepted()
                outcome = await ticket.outcome()
            except (Saturated, OverShare) as error:
                await anyio.sleep(_bounded(error.retry_after))
                continue
            except BullpenError as error:
                raise ActionFailed.of(error) from error
            if isinstance(outcome, Expired) and strategy.queues:
                await anyio.sleep(_bounded(outcome.retry_after))
                continue
            if isinstance(outcome, Cancelled) and attempt.is_again:
                attempt = attempt._replace(is_again=False)
                continue  # bullpen ended before it was recorded that the prompt is accepted
            break
    if outcome is None:
        if ticket is not None:
            with suppress(BullpenError):
                await engine.withdraw(ticket.turn_id)
        raise ActionFailed(f"{action.target} had not answered after {limit:g} s")
    if not isinstance(outcome, Done):
        why = getattr(outcome, "message", "") or getattr(outcome, "reason", "")
        raise ActionFailed(f"its turn {outcome_word(outcome)}: {why}")
    return f"turn {ticket.turn_id}" if ticket is not None else ""


def _named(prompt: Prompt, name: str) -> Prompt:
    """Handed in again under that name, it is the same turn: after a restart too."""
    return replace(prompt, request=name)


def _bounded(seconds: float) -> float:
    return min(LONGEST_WAIT, max(SHORTEST_WAIT, seconds))
