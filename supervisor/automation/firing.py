"""A hook, or a schedule, that has fired: what is kept of it until all its actions have ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from supervisor.api.automation import Action, Hook, OpenRun, Payload, Schedule
from supervisor.api.hook_rows import Delivery, HookRun, RunState
from supervisor.api.types import SessionKey
from supervisor.automation.attempt import Attempt


@dataclass(slots=True)
class Firing:
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
    runs: list[HookRun] = field(default_factory=list)
    """Of the actions that have ended."""

    @property
    def is_kept(self) -> bool:
        """Whether it survives a crash."""
        if self.is_sample:
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
            "done": self.done,
            "tried": self.tried,
        }
        key = SessionKey(self._text("instance"), self._text("user"), self._text("session"))
        return OpenRun(self.id, self.at, key, self._text("turn"), json.dumps(body))

    @classmethod
    def revive(cls, kept: OpenRun, hooks: Mapping[str, Hook], schedules: Mapping[str, Schedule]) -> Self | None:
        """None when there is no such hook any more, or it has other actions."""
        try:
            body: dict[str, Any] = json.loads(kept.body)
            doing = (schedules if body["is_schedule"] else hooks).get(body["hook"])
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
