"""A hook, or a schedule, that has fired: what is kept of it until all its actions have ended."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from supervisor.api.automation import Action, Hook, OpenRun, Payload, Schedule
from supervisor.api.events import TurnFinished
from supervisor.api.hook_rows import Delivery, HookRun, RunState
from supervisor.api.keys import SessionKey
from supervisor.automation.attempt import Attempt


@dataclass(slots=True)
class Firing:
    """One run of a hook or a schedule."""

    id: str
    doing: Hook | Schedule
    payload: Payload
    depth: int
    """Of what fired it."""
    at: float
    """Unix seconds."""
    done: int = 0
    """How many of its actions have ended."""
    tried: int = 0
    """How often the next one has been tried."""
    is_revived: bool = False
    """It was open when an earlier run of bullpen ended, and none of its actions has ended since."""
    is_sample: bool = False
    is_forgotten: bool = False
    """Its user has been forgotten."""
    runs: list[HookRun] = field(default_factory=list)
    """Of the actions that have ended."""

    @property
    def is_kept(self) -> bool:
        """Whether the run is recorded, so that it goes on after a crash."""
        if self.is_sample or self.is_forgotten:
            return False
        return not isinstance(self.doing, Hook) or self.doing.delivery is Delivery.AT_LEAST_ONCE

    @property
    def action(self) -> Action | None:
        """The next one; None when all have ended."""
        return self.doing.actions[self.done] if self.done < len(self.doing.actions) else None

    @property
    def action_id(self) -> str:
        return f"{self.id}-{self.done}" if len(self.doing.actions) > 1 else self.id

    def attempt(self) -> Attempt:
        doing = self.doing
        return Attempt(
            self.action_id, self.tried, self.depth + 1, doing.timeout, doing.has_timeout, self.is_revived, doing.folder
        )

    def run(self, state: RunState, *, at: float, seconds: float = 0.0, detail: str = "") -> HookRun:
        """The next action as it stands."""
        return HookRun(
            id=self.action_id,
            hook=self.doing.name,
            event=self._text("event"),
            action=str(self.action) if self.action is not None else "",
            state=state,
            at=at,
            seconds=seconds,
            detail=detail,
            attempt=max(1, self.tried),
            depth=self.depth,
            instance=self._text("instance"),
            user=self._text("user"),
            session=self._text("session"),
            turn=self._text("turn"),
            is_sample=self.is_sample,
        )

    def kept(self) -> OpenRun:
        body = {
            "hook": self.doing.name,
            "is_schedule": isinstance(self.doing, Schedule),
            "payload": dict(self.payload),
            "depth": self.depth,
            "does": digest_of(self.doing),
            "done": self.done,
            "tried": self.tried,
        }
        key = SessionKey(self._text("instance"), self._text("user"), self._text("session"))
        return OpenRun(self.id, self.at, key, self._text("turn"), json.dumps(body))

    @classmethod
    def revive(cls, kept: OpenRun, hooks: Mapping[str, Hook], schedules: Mapping[str, Schedule]) -> Self | None:
        """The run that an earlier start of bullpen recorded; None when no hook does the same any more. Hooks are
        compared by what they do: a hook without a name gets one from its place in the file, which may belong to another
        now."""
        try:
            body: dict[str, Any] = json.loads(kept.body)
            known: Mapping[str, Hook | Schedule] = schedules if body["is_schedule"] else hooks
            doing, does = known.get(body["hook"]), body["does"]
            if doing is None or digest_of(doing) != does:
                doing = next((one for one in known.values() if digest_of(one) == does), None)
            done, tried, depth, payload = body["done"], body["tried"], body["depth"], body["payload"]
        except (ValueError, KeyError, TypeError):
            return None
        if doing is None or not isinstance(payload, dict) or not all(type(one) is int for one in (done, tried, depth)):
            return None
        if not 0 <= done < len(doing.actions):
            return None
        return cls(kept.id, doing, payload, depth, kept.at, done, tried, is_revived=True)

    def _text(self, name: str) -> str:
        return str(self.payload.get(name, ""))


def digest_of(doing: Hook | Schedule) -> str:
    """Equal for what does the same."""
    return hashlib.sha256(repr(doing.actions).encode(errors="replace")).hexdigest()[:16]


def note_end(event: TurnFinished) -> OpenRun:
    """A record that a turn has ended and its hooks have not fired yet. It is written in the transaction that records
    the end, so that a kill cannot come between the two. The turn itself is found in the journal."""
    key = SessionKey(event.instance, event.user, event.session)
    return OpenRun(f"end-{event.turn}", event.at, key, event.turn, json.dumps({_END: event.turn}))


def read_end(kept: OpenRun) -> str:
    """The id of the turn that has ended, where that is what was kept; else empty."""
    try:
        body = json.loads(kept.body)
    except ValueError:
        return ""
    turn = body.get(_END) if isinstance(body, dict) else None
    return turn if isinstance(turn, str) else ""


_END = "end_of_turn"
