"""How many hooks away from a caller something is that happens: so that hooks which fire each other come to an end.

A prompt says its own depth. What happens in a session has that of the session's last prompt, and what happens in an
agent but in no session of it (its clients, its state) that of the deepest prompt that a hook has sent it lately.
"""

from __future__ import annotations

from collections.abc import Callable

from supervisor.api.events import (
    Event,
    ScheduleDue,
    SessionClosed,
    SessionOpened,
    TurnFinished,
    TurnQueued,
    TurnSuspended,
)
from supervisor.api.keys import SessionKey
from supervisor.api.prompts import Prompt

LATELY = 60.0
"""Seconds."""
MOST_SESSIONS = 50_000
"""Sessions whose depth is remembered: only those that a hook has prompted."""


class Depths:
    def __init__(self, wall: Callable[[], float], find_prompt: Callable[[str], Prompt | None]) -> None:
        self._wall = wall
        self._find = find_prompt
        self._prompts: dict[str, Prompt] = {}
        """Of turns that wait or run."""
        self._sessions: dict[SessionKey, int] = {}
        """Session → depth, where that is not 0."""
        self._lately: dict[str, tuple[int, float]] = {}
        """By agent: the deepest prompt, and when it was sent."""
        self.opening = 0
        """Of the prompt that is being taken in at this moment: it opens its session before it is known itself."""

    def hear(self, event: Event) -> tuple[int, Prompt | None]:
        """The depth of what happened, and its prompt where it is about a turn."""
        key = SessionKey(event.instance, event.user, event.session)
        prompt = self._prompts.get(event.turn) or (self._find(event.turn) if event.turn else None)
        if isinstance(event, TurnQueued) and prompt is not None:
            self._prompts[event.turn] = prompt
            self._note(key, prompt.depth)
        elif isinstance(event, TurnFinished | TurnSuspended):
            self._prompts.pop(event.turn, None)
        if prompt is not None:
            return prompt.depth, prompt
        if isinstance(event, SessionOpened):
            return self.opening, None
        if isinstance(event, ScheduleDue):
            return 0, None
        if event.session:
            depth = self._sessions.get(key, 0)
            if isinstance(event, SessionClosed):
                self._sessions.pop(key, None)
            return depth, None
        return self._of_agent(event.instance), None

    def note_sent(self, instance: str, depth: int) -> None:
        """A hook sends a prompt of that depth to the agent."""
        deepest = max(depth, self._of_agent(instance))
        self._lately[instance] = (deepest, self._wall())

    def _note(self, key: SessionKey, depth: int) -> None:
        if depth == 0:
            self._sessions.pop(key, None)
        elif key in self._sessions or len(self._sessions) < MOST_SESSIONS:
            self._sessions[key] = depth

    def _of_agent(self, instance: str) -> int:
        """The depth of an agent, or of all agents together where none is named."""
        now = self._wall()
        return max(
            (depth for name, (depth, at) in self._lately.items() if instance in ("", name) and abs(now - at) <= LATELY),
            default=0,
        )
