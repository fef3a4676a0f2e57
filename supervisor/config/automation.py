"""`[[hooks]]` and `[[schedules]]` of `bullpen.toml`, and the hooks of a template that are a list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from msgspec.structs import replace
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from supervisor.api.automation import Action, ActionKind, Flavour, Hook, Schedule, is_reference
from supervisor.api.event_names import BY_NAME
from supervisor.api.hook_rows import Delivery, Fallback, Missed
from supervisor.automation.substitution import fields_in
from supervisor.automation.timetable import find_timetable_mistake
from supervisor.config.durations import PositiveLimit, PositiveSeconds, Seconds, spell_duration
from supervisor.config.field_types import Text, Variables
from supervisor.config.hook_conditions import read_condition
from supervisor.config.validation import nearest
from supervisor.text.values import in_words

MOST_HOOKS = 1_000
MOST_ACTIONS = 20
MOST_ATTEMPTS = 20
ANSWER_URL = "answer_url"
"""A field of a `notify` action for a question: where it can be answered."""
GATED = "prompt:before"
"""The one event at which a gate decides."""
_SCHEDULED = "schedule:due"

_FOR = {
    ActionKind.AGENT: ({"target", "text"}, {"user", "session"}),
    ActionKind.SHELL: ({"command"}, {"env"}),
    ActionKind.HTTP: ({"url"}, {"method", "headers", "body"}),
    ActionKind.NOTIFY: ({"url"}, {"to", "text", "chat", "headers", "link"}),
}
"""By kind, the keys that an action must have and those that it may have besides."""
_FILLED = ("text", "user", "session", "body")
"""Keys of an action in which `{fields}` are put."""


class _Table(BaseModel):
    # Built with the first model that holds them: each would be built twice otherwise, at every start.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class RetrySettings(_Table):
    attempts: int = Field(default=1, ge=1, le=MOST_ATTEMPTS, description="How often an action is tried at most.")
    backoff: Seconds = Field(default=1.0, description="Before the second try; twice as long before each further one.")


class ActionSettings(_Table):
    type: Literal["agent", "shell", "http", "notify"] = Field(description="What is done; the keys below go with it.")
    target: Text | None = Field(default=None, description="`agent`: who is prompted.")
    text: Text | None = Field(
        default=None, description="`agent`, `notify`: what is said; `{user}` and the like are fields of what happened."
    )
    user: Text | None = Field(default=None, description="`agent`: on whose behalf. Default: `automation`.")
    session: Text | None = Field(
        default=None, description="`agent`: which conversation. Default: a new one; an employee has only one."
    )
    command: tuple[str, ...] | None = Field(
        default=None,
        description="`shell`: a program and its arguments, as a list. They are passed as they are: what happened comes "
        "as JSON on standard input.",
    )
    env: Variables | None = Field(
        default=None, description="`shell`: variables; `env:NAME` and `file:PATH` are where a value is found."
    )
    url: Text | None = Field(
        default=None, description="`http`, `notify`: an address, or `env:NAME` or `file:PATH` where it is a secret."
    )
    method: Literal["POST", "PUT", "PATCH", "DELETE", "GET"] | None = Field(
        default=None, description="`http`. Default: `POST`."
    )
    headers: dict[str, str] | None = Field(
        default=None, description="`http`, `notify`: values may be `env:NAME` or `file:PATH`."
    )
    body: Any = Field(default=None, description="`http`: the JSON to send, with fields. Default: all that happened.")
    to: Literal["slack", "telegram", "ntfy", "json"] | None = Field(
        default=None, description="`notify`: whose webhook it is. Default: `json`."
    )
    chat: Text | None = Field(default=None, description="`notify` to Telegram: the id of the chat.")
    link: bool | None = Field(
        default=None,
        description="`notify` of a question: whether a link to answer it goes along. Default: yes, for "
        "`question:asked`.",
    )

    @field_validator("command")
    @classmethod
    def _starts_something(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and (not value or not value[0].strip() or any("\0" in part for part in value)):
            raise ValueError("must be a list: a program and its arguments")
        return value

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None and not is_reference(value) and find_url_flaw(value):
            raise ValueError(find_url_flaw(value))
        return value

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, value: dict[str, str] | None) -> dict[str, str] | None:
        for name, text in (value or {}).items():
            if not name.isascii() or not name.replace("-", "").isalnum() or not text.isprintable():
                raise ValueError(f"has {in_words(name)}, which is no header")
        return value

    @model_validator(mode="after")
    def _keys_go_with_its_kind(self) -> Self:
        needed, others = _FOR[ActionKind(self.type)]
        given = {name for name in self.model_fields_set if getattr(self, name) is not None} - {"type"}
        if missing := sorted(needed - given):
            raise ValueError(f"needs {' and '.join(missing)}: it is of type {self.type}")
        if strange := sorted(given - needed - others):
            raise ValueError(
                f"has {strange[0]}, which is not for type {self.type}; that takes {', '.join(sorted(needed | others))}"
            )
        if (self.to == "telegram") != (self.chat is not None):
            raise ValueError("needs chat with to = telegram, and only with it")
        return self

    def find_mistakes(self, on: Iterable[str]) -> Iterator[tuple[str, str]]:
        """(key, sentence) for what does not go with these events."""
        for key in _FILLED:
            try:
                wanted = fields_in(getattr(self, key))
            except ValueError as error:
                yield key, str(error)
                continue
            for name in wanted:
                if name == ANSWER_URL and self.type == "notify" and set(on) <= {"question:asked"}:
                    continue
                if sentence := unknown_field(name, on):
                    yield key, f"asks for {{{name}}}, which {sentence}"
        if self.link and set(on) != {"question:asked"}:
            yield "link", "is for question:asked: nothing else can be answered"

    def as_action(self, on: Iterable[str]) -> Action:
        asks = set(on) == {"question:asked"}
        return Action(
            kind=ActionKind(self.type),
            text=self.text or "",
            target=self.target or "",
            user=self.user or "",
            session=self.session or "",
            command=self.command or (),
            env=dict(self.env or {}),
            url=self.url or "",
            method=self.method or "POST",
            headers=dict(self.headers or {}),
            body=self.body,
            flavour=Flavour(self.to or "json"),
            chat=self.chat or "",
            link=self.type == "notify" and asks and self.link is not False,
        )


def find_url_flaw(value: str) -> str:
    """Why the address cannot be called, in words that follow a name; empty when it can."""
    try:
        found = urlsplit(value)
        host, _ = found.hostname, found.port
    except ValueError:
        host, found = None, urlsplit("")
    if found.scheme not in ("http", "https") or not host or any(sign.isspace() for sign in value):
        return "must be an address such as https://example.org/hook, env:NAME or file:PATH"
    return ""


def unknown_field(name: str, on: Iterable[str]) -> str:
    """Why none of what happens then has that field; empty when all of it does."""
    for event in on:
        if event in BY_NAME and name not in (fields := BY_NAME[event].fields):
            near = nearest(name, dict.fromkeys(fields))
            return f"{event} has not" + (f"; did you mean {near}?" if near else f"; it has {', '.join(fields)}")
    return ""


def _words(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _on_is_known(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ValueError("must name an event")
    for name in value:
        if name not in BY_NAME:
            near = nearest(name, BY_NAME, cutoff=0.4)
            raise ValueError(
                f"names {in_words(name)}, which is no event"
                + (f"; did you mean {near}?" if near else f"; there are {', '.join(BY_NAME)}")
            )
    return tuple(dict.fromkeys(value))


class _Doing(_Table):
    """Fields that hooks and schedules share."""

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$")] | None = Field(
        default=None, description="What it is called in lists. Default: made from what it does."
    )
    timeout: PositiveLimit = Field(
        default=None,
        description="How long one try of an action may take, or `none`. Default: 30 s; for an agent 5 min (tool), 10 "
        "min (employee) or as long as it takes (service).",
    )
    retry: RetrySettings = Field(default_factory=RetrySettings, description="What is done when an action fails.")
    actions: tuple[ActionSettings, ...] = Field(description="What is done, one after the other.")

    @field_validator("actions")
    @classmethod
    def _are_some(cls, value: tuple[ActionSettings, ...]) -> tuple[ActionSettings, ...]:
        if not 1 <= len(value) <= MOST_ACTIONS:
            raise ValueError(f"must be 1 to {MOST_ACTIONS} actions, not {len(value)}")
        return value

    def _common(self) -> dict[str, Any]:
        return {
            "timeout": self.timeout,
            "has_timeout": "timeout" in self.model_fields_set,
            "attempts": self.retry.attempts,
            "backoff": self.retry.backoff,
        }


class HookSettings(_Doing):
    """One hook. See `docs/hooks.md`."""

    on: Annotated[tuple[str, ...], BeforeValidator(_words, json_schema_input_type=str | list[str])] = Field(
        description="The name of an event, or a list of them."
    )
    condition: dict[str, Any] = Field(
        default_factory=dict,
        description="Fields of what happened, and what they must be: a value, a list of values, or a mapping with "
        "`glob`, `regex`, `contains`, `above`, `below` or `not`. All must hold.",
    )
    priority: int = Field(default=100, ge=-1_000_000, le=1_000_000, description="The lowest begins first.")
    delivery: Literal["at-least-once", "best-effort"] = Field(
        default="at-least-once",
        description="Whether an action that had not ended when bullpen died is done again, under the same id.",
    )
    gate: bool = Field(
        default=False, description="With `prompt:before`: the actions decide whether the prompt is accepted."
    )
    fallback: Literal["allow", "refuse"] | None = Field(
        default=None,
        validate_default=True,
        description="What a gate that fails, or takes too long, stands for. A gate must say it.",
    )

    @field_validator("on")
    @classmethod
    def _is_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _on_is_known(value)

    @field_validator("fallback")
    @classmethod
    def _goes_with_a_gate(cls, value: str | None, info: ValidationInfo) -> str | None:
        # Looked at with the field, so that a mistake in another key does not hide it.
        is_gate = info.data.get("gate")
        if is_gate and value is None:
            raise ValueError("is missing: a gate must say allow or refuse, which counts when it gives no verdict")
        if is_gate is False and value is not None:
            raise ValueError("is for a gate")
        return value

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if sentences := [*self._mistakes()]:
            raise ValueError("; it ".join(sentences))
        return self

    def _mistakes(self) -> Iterator[str]:
        for name in self.condition:
            if sentence := unknown_field(name, self.on):
                yield f"has the condition {in_words(name)}, a field that {sentence}"
        try:
            list(read_condition(self.condition))
        except ValueError as error:
            yield f"has a condition that {error}"
        for number, action in enumerate(self.actions):
            for key, sentence in action.find_mistakes(self.on):
                yield f"has actions[{number}].{key} that {sentence}"
        yield from self._gate_mistakes()

    def _gate_mistakes(self) -> Iterator[str]:
        if not self.gate:
            return
        if self.on != (GATED,):
            yield f"is a gate, which is for {GATED} alone"
        if strange := [one.type for one in self.actions if one.type not in ("shell", "http")]:
            yield f"is a gate, whose actions must be shell or http, not {strange[0]}"
        if "timeout" in self.model_fields_set and self.timeout is None:
            yield "is a gate and needs a timeout: a prompt waits for it"

    def as_hook(self, number: int, *, instance: str = "", folder: Path = Path()) -> Hook:
        where = f"{instance} " if instance else ""
        return Hook(
            name=self.name or f"{where}{'+'.join(self.on)} {number}",
            on=self.on,
            actions=tuple(one.as_action(self.on) for one in self.actions),
            tests=tuple(read_condition(self.condition)),
            priority=self.priority,
            delivery=Delivery(self.delivery),
            gate=self.gate,
            fallback=Fallback(self.fallback or "refuse"),
            instance=instance,
            folder=folder,
            **self._common(),
        )


class ScheduleSettings(_Doing):
    """One schedule. See `docs/hooks.md`."""

    cron: Text | None = Field(
        default=None, description="Five fields (minute, hour, day, month, weekday), as in `0 7 * * 1-5`."
    )
    every: PositiveSeconds | None = Field(default=None, description="A length of time, at least `1s`.")
    timezone: Text = Field(default="UTC", description="Of the cron fields, such as `Europe/Berlin`.")
    missed: Literal["once", "skip"] = Field(
        default="once", description="What becomes of runs that fell due while bullpen did not run."
    )

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if (self.cron is None) == (self.every is None):
            raise ValueError("needs either cron or every")
        if sentence := find_timetable_mistake(self.cron or "", self.every or 0.0, self.timezone):
            raise ValueError(sentence)
        found = [
            f"has actions[{number}].{key} that {sentence}"
            for number, action in enumerate(self.actions)
            for key, sentence in action.find_mistakes((_SCHEDULED,))
        ]
        if found:
            raise ValueError("; it ".join(found))
        return self

    def as_schedule(self, *, name: str, folder: Path = Path()) -> Schedule:
        return Schedule(
            name=name,
            cron=self.cron or "",
            every=self.every or 0.0,
            timezone=self.timezone,
            missed=Missed(self.missed),
            actions=tuple(one.as_action((_SCHEDULED,)) for one in self.actions),
            folder=folder,
            **self._common(),
        )

    @property
    def when(self) -> str:
        return f"cron {self.cron}" if self.cron else f"every {spell_duration(self.every)}"


def make_hooks(settings: Iterable[HookSettings], *, instance: str = "", folder: Path = Path()) -> tuple[Hook, ...]:
    """The hooks in the order of the file, each with a name that no other of them has."""
    return tuple(_unlike(one.as_hook(number, instance=instance, folder=folder) for number, one in _numbered(settings)))


def make_schedules(settings: Iterable[ScheduleSettings], *, folder: Path = Path()) -> tuple[Schedule, ...]:
    seen: dict[str, int] = {}
    made = []
    for one in settings:
        name = one.name or one.when
        seen[name] = seen.get(name, 0) + 1
        made.append(one.as_schedule(name=name if seen[name] == 1 else f"{name} ({seen[name]})", folder=folder))
    return tuple(made)


def _numbered(settings: Iterable[HookSettings]) -> Iterator[tuple[int, HookSettings]]:
    return iter(enumerate(settings, start=1))


def _unlike(hooks: Iterable[Hook]) -> Iterator[Hook]:
    seen: dict[str, int] = {}
    for hook in hooks:
        seen[hook.name] = seen.get(hook.name, 0) + 1
        yield hook if seen[hook.name] == 1 else replace(hook, name=f"{hook.name} ({seen[hook.name]})")


def unknown_targets(hooks: Iterable[Hook | Schedule], names: Mapping[str, object]) -> list[str]:
    """A line for every agent that is to be prompted and that no template describes."""
    return [
        f"{'hooks' if isinstance(hook, Hook) else 'schedules'} {hook.name}: there is no agent {in_words(action.target)}"
        + (f"; did you mean {near}?" if (near := nearest(action.target, names)) else "")
        for hook in hooks
        for action in hook.actions
        if action.kind is ActionKind.AGENT and action.target not in names
    ]
