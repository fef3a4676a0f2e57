"""Hooks and schedules as an operator has declared them: what the settings are read as. What readers see of them is in
`hook_rows`."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct, field

from supervisor.api.hook_rows import Delivery, Fallback, Missed
from supervisor.api.keys import SessionKey

MOST_DEPTH = 8
"""How deep hooks nest: what happens to a prompt that is so many hooks away from a caller fires nothing more (S1.28)."""

Value = str | int | float | bool
"""The value of one field of an event."""
Payload = Mapping[str, Value]
"""What happened, by fields: what conditions look at, texts are filled with, and shell and HTTP actions get as JSON."""


class ActionKind(StrEnum):
    AGENT = "agent"
    """Sends a prompt to an agent; the archetype of that agent decides how."""
    SHELL = "shell"
    """Starts a program; it gets what happened as JSON on its standard input."""
    HTTP = "http"
    """Sends what happened as JSON to an address."""
    NOTIFY = "notify"
    """Tells people, by a webhook of Slack, Telegram or ntfy, or one that takes JSON."""


class Flavour(StrEnum):
    """The service whose message format a webhook expects."""

    SLACK = "slack"
    TELEGRAM = "telegram"
    NTFY = "ntfy"
    JSON = "json"


class How(StrEnum):
    """How a condition compares a field."""

    IS = "is"
    GLOB = "glob"
    REGEX = "regex"
    CONTAINS = "contains"
    ABOVE = "above"
    BELOW = "below"


class Comparison(Struct, frozen=True, gc=False):
    """One part of a condition. The field holds when it compares to any of the values, or to none if `negated`."""

    field: str
    how: How
    values: tuple[Value, ...]
    negated: bool = False

    def __str__(self) -> str:
        words = " or ".join(map(str, self.values))
        return f"{self.field} {'not ' if self.negated else ''}{self.how} {words}"


class Action(Struct, frozen=True):
    """One step of a hook or schedule. `kind` says which fields count."""

    kind: ActionKind
    text: str = ""
    """agent, notify: what is said; `{field}` stands for a field of what happened."""
    target: str = ""
    """agent: who is prompted."""
    user: str = ""
    """agent: on whose behalf; empty for `automation`."""
    session: str = ""
    """agent: which conversation; empty for a new one (service), none (tool) or the only one (employee)."""
    command: tuple[str, ...] = ()
    """shell: the program and its arguments, which are passed as they are."""
    env: Mapping[str, str] = field(default_factory=dict)
    """shell: variables besides the few that every program gets; values may be references."""
    url: str = ""
    """http, notify: an address, or a reference to one."""
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    """http, notify: values may be references."""
    body: Any = None
    """http: the JSON to send, its texts filled; None for what happened."""
    flavour: Flavour = Flavour.JSON
    chat: str = ""
    """notify by Telegram: which chat."""
    link: bool = False
    """notify of a question: with the address of a page that answers it."""

    def __str__(self) -> str:
        match self.kind:
            case ActionKind.AGENT:
                return f"agent {self.target}"
            case ActionKind.SHELL:
                return f"shell {self.command[0] if self.command else ''}"
            case ActionKind.NOTIFY:
                return f"notify {self.flavour}"
        return f"http {self.method} {bare(self.url)}"


def bare(url: str) -> str:
    """An address as it may be shown: a reference as it is written, else its host. Webhooks have secrets in their
    paths."""
    if is_reference(url):
        return url
    rest = url.partition("://")[2].partition("/")[0]
    return rest.rpartition("@")[2]


def is_reference(value: str) -> bool:
    """Whether the value names where a secret is found (`env:NAME`, `file:PATH`), and is not the secret itself."""
    return value.startswith(("env:", "file:"))


class Hook(Struct, frozen=True, kw_only=True):
    """Actions that are run when certain events happen."""

    name: str
    on: tuple[str, ...]
    """Names of events (`event_names`)."""
    actions: tuple[Action, ...]
    """In order: each begins when the one before it has ended, however that ended."""
    tests: tuple[Comparison, ...] = ()
    """All of them must hold."""
    priority: int = 100
    """The lowest begins first; among equals the one that is declared first."""
    timeout: float | None = None
    """Seconds that one try of an action may take. With `has_timeout` false, what is usual for its kind."""
    has_timeout: bool = False
    attempts: int = 1
    """How often an action is tried at most."""
    backoff: float = 1.0
    """Seconds before the second try; twice as long before each further one."""
    delivery: Delivery = Delivery.AT_LEAST_ONCE
    gate: bool = False
    """It decides about a prompt before it is accepted."""
    fallback: Fallback = Fallback.REFUSE
    """The verdict that counts when a gate gives none."""
    instance: str = ""
    """The agent whose events it sees; empty for the events of all."""
    folder: Path = Path()
    """The folder that relative `file:` references count from."""


class Schedule(Struct, frozen=True, kw_only=True):
    """Actions that are run at certain times. Exactly one of `cron` and `every` is set."""

    name: str
    actions: tuple[Action, ...]
    cron: str = ""
    every: float = 0.0
    """Seconds."""
    timezone: str = "UTC"
    missed: Missed = Missed.ONCE
    timeout: float | None = None
    has_timeout: bool = False
    attempts: int = 1
    backoff: float = 1.0
    folder: Path = Path()


class OpenRun(NamedTuple):
    """A hook that has fired and whose actions have not all ended, as the journal keeps it."""

    id: str
    at: float
    """Unix seconds."""
    key: SessionKey
    """What fired it: any of the three may be empty."""
    turn_id: str
    body: str
    """JSON, of the room that runs it."""


class ScheduleMark(NamedTuple):
    """How far a schedule has come, as the journal keeps it."""

    name: str
    spec: str
    """What it was declared as."""
    due_at: float
    """Unix seconds: what fell due until then has run, or was left out."""
