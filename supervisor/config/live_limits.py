"""Limits that are changed while everything runs.

A name and a value come as text, as an operator types them, and are validated as the same line in a file would be. The
functions return a changed copy; the running limits change when the caller applies it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ValidationError
from pydantic.alias_generators import to_snake

from supervisor.api.errors import Refused
from supervisor.api.states import Archetype
from supervisor.config.budgets import BudgetSettings, Ceilings, parse_amount, parse_whole, spell_amount
from supervisor.config.byte_sizes import parse_budget, parse_memory, parse_part, spell_memory, spell_part
from supervisor.config.contradictions import contradictions
from supervisor.config.durations import parse_duration, parse_idle_ttl, parse_limit, spell_duration
from supervisor.config.limits import LIMITS, SHORT_IDLE, Limits, QueueLimits
from supervisor.config.settings import Settings
from supervisor.config.template import FrontMatter, Template
from supervisor.config.validation import describe, nearest
from supervisor.text.values import in_words

DEFAULT = "default"
"""In place of a value: the limit's documented default, as if neither a template nor the settings said anything."""
CONFIGURED = "configured"
"""In place of a value: what the template and the settings say, without what an operator has changed since."""

_READ_AT_THE_START = {
    "state_dir": "sessions and workspaces are already there",
    "templates_dir": "the folder named at the start is watched",
    "max_retries": "a client is told when it starts",
    "stream_idle_timeout": "a client is told when it starts",
    "notices": "the dashboard is told when it starts",
    "rehearsal": "clients that run talk to one endpoint",
    "gateway": "the door is opened at the start",
    "routing": "it is not one limit",
    "providers": "clients that run talk to them",
    "hooks": "they are read at the start",
    "schedules": "they are read at the start",
    "instances": "it is not one limit",
}
"""Settings that cannot be changed live, and why."""

INSTANCE_LIMITS = tuple(".".join(location) for location in LIMITS if location != ("onRestart",))
"""As templates spell them: `concurrency.maxSessions`, `pool.idleTtl`, `questionTtl` and so on. `onRestart` is missing:
it counts at the next start, for which it has to stand in a file."""

BUDGET_LIMITS = tuple(
    f"budgets.{scope}.{name}" for scope in BudgetSettings.model_fields for name in Ceilings.model_fields
)
"""`budgets.user.cost_per_day` and so on."""

HOST_LIMITS = (
    *(name for name in Settings.model_fields if name not in {*_READ_AT_THE_START, "budgets"}),
    *BUDGET_LIMITS,
)
"""As `bullpen.toml` spells them: `max_agents`, `memory_budget` and so on."""

_short = [name.rpartition(".")[2] for name in INSTANCE_LIMITS]
_KNOWN = {
    **{to_snake(short): name for short, name in zip(_short, INSTANCE_LIMITS, strict=True) if _short.count(short) == 1},
    **{to_snake(name): name for name in INSTANCE_LIMITS},
}
"""`idle_ttl` and `pool.idle_ttl` → `pool.idleTtl`: a section may be left out where no other has such a limit."""

_Read = TypeVar("_Read", bound=BaseModel)

_SPELLERS: dict[object, Callable[[Any], str]] = {
    parse_duration: spell_duration,
    parse_limit: spell_duration,
    parse_idle_ttl: spell_duration,
    parse_part: spell_part,
    parse_budget: spell_memory,
    parse_memory: spell_memory,
    parse_amount: spell_amount,
    parse_whole: spell_amount,
}
"""What writes a value so that its reader gives the same value again."""


def adjust_template(template: Template, name: str, value: str, configured: Template | None = None) -> Template:
    """The template with one limit changed: `pool.idleTtl`, or `idleTtl`, or `idle_ttl`. `configured` is the template as
    it was before all changes (default: this one).

    Raises `Refused` with one line when the name, the value or what results from it is wrong.
    """
    limit = _instance_limit(name)
    section, _, key = limit.rpartition(".")
    written, as_configured = _dump(template), _dump(configured or template)
    before = as_configured.get(section, {}) if section else as_configured
    _put(written.setdefault(section, {}) if section else written, key, value, before)
    read = _validate(FrontMatter, written)
    changed = to_snake(section or key)
    result = template.model_copy(update={changed: getattr(read, changed)})
    for other, sentence in contradictions(result):
        if other == limit:
            raise Refused(f"{limit} {sentence}")
        raise Refused(f"{limit} cannot be {_shown(value)}: {other} {sentence}; change {other} first")
    return result


def adjust_settings(settings: Settings, name: str, value: str, configured: Settings | None = None) -> Settings:
    """The settings with one limit of the host changed. Raises `Refused` like `adjust_template`."""
    limit, configured = _host_limit(name), configured or settings
    if limit in BUDGET_LIMITS:
        return _adjust_budget(settings, limit, value, configured)
    written, as_configured = (
        {one: getattr(given, one) for one in given.model_fields_set} for given in (settings, configured)
    )
    _put(written, limit, value, as_configured)
    read = _validate(Settings, written)
    result = settings.model_copy(update={limit: getattr(read, limit)})
    if limit not in read.model_fields_set:
        result.model_fields_set.discard(limit)
    return result


def _adjust_budget(settings: Settings, limit: str, value: str, configured: Settings) -> Settings:
    _, scope, key = limit.split(".")
    written, as_configured = (
        {name: getattr(given.budgets, name).model_dump(exclude_unset=True) for name in given.budgets.model_fields_set}
        for given in (settings, configured)
    )
    _put(written.setdefault(scope, {}), key, value, as_configured.get(scope, {}))
    try:
        read = BudgetSettings.model_validate(written)
    except ValidationError as error:
        raise Refused(f"budgets.{describe(error.errors()[0], BudgetSettings)}") from error
    return settings.model_copy(update={"budgets": read})


def take_max_wait(template: Template, before: Settings, after: Settings) -> Template:
    """The template as the host's `max_wait` has changed it; an instance's own value is stronger (`apply_overrides`)."""
    was_said, is_said = ("max_wait" in settings.model_fields_set for settings in (before, after))
    own = template.queue.max_wait if "max_wait" in template.queue.model_fields_set else None
    is_own = "max_wait" in template.queue.model_fields_set and not (was_said and own == before.max_wait)
    if is_own or template.archetype is Archetype.EMPLOYEE or not (was_said or is_said):
        return template
    written = template.queue.model_dump(exclude_unset=True) | {"max_wait": after.max_wait}
    if not is_said:
        del written["max_wait"]
    return template.model_copy(update={"queue": QueueLimits.model_validate(written)})


def keep_adjustments(before: Template, running: Template, after: Template) -> Template:
    """`after`, a new version of the file that `before` was read from, with the limits that were changed live since: an
    operator's change holds until the file says something else about that limit."""
    changes: dict[str, Any] = {}
    for name in Limits.model_fields:
        was, now, then = (getattr(one, name) for one in (before, running, after))
        if isinstance(then, BaseModel):
            own = {
                key: getattr(now, key)
                for key in type(then).model_fields
                if getattr(now, key) != getattr(was, key) and getattr(then, key) == getattr(was, key)
            }
            if own:
                changes[name] = then.model_copy(update=own)
        elif now != was and then == was:
            changes[name] = now
    result = after.model_copy(update=changes)
    return after if contradictions(result) else result


def describe_limits(
    template: Template, idle_ttl: float = SHORT_IDLE, client_limit: int | None = None
) -> dict[str, str]:
    """Every limit of an instance as it holds now, as people write it: what the template leaves open is worked out.
    `idle_ttl`: seconds that clients of this host may be idle where no template says it. `client_limit`: clients that
    the instance may have at most on this host."""
    worked_out = {
        "pool.maxClients": template.client_limit if client_limit is None else client_limit,
        "pool.spares": template.spares_wanted,
        "pool.idleTtl": idle_ttl if template.pool.idle_ttl is None else template.pool.idle_ttl,
        "queue.maxWait": template.max_wait,
    }
    found = {}
    for limit in INSTANCE_LIMITS:
        section, _, key = limit.rpartition(".")
        model = getattr(template, section) if section else template
        field = to_snake(key)
        found[limit] = _spell(type(model), field, worked_out.get(limit, getattr(model, field)))
    return found


def describe_host_limits(settings: Settings, agent_ttl: float | None = None) -> dict[str, str]:
    """Every limit of the host as people write it. `max_wait` is `default` while every template says its own.
    `agent_ttl`: seconds that any client may be idle on this host."""
    found = {
        limit: _spell(Settings, limit, getattr(settings, limit)) for limit in HOST_LIMITS if limit not in BUDGET_LIMITS
    }
    for limit in BUDGET_LIMITS:
        _, scope, key = limit.split(".")
        found[limit] = _spell(Ceilings, key, getattr(getattr(settings.budgets, scope), key))
    if "max_wait" not in settings.model_fields_set:
        found["max_wait"] = DEFAULT
    if agent_ttl is not None:
        found["agent_ttl"] = spell_duration(agent_ttl)
    return found


def _dump(template: Template) -> dict[str, Any]:
    """The limits that the template sets, and what they depend on; without those that it leaves open."""
    return template.model_dump(
        by_alias=True, exclude_unset=True, include={*Limits.model_fields, "name", "description", "archetype"}
    )


def _put(place: dict[str, Any], key: str, value: str, configured: Mapping[str, Any]) -> None:
    word = value.strip().lower()
    if word == CONFIGURED and key in configured:
        place[key] = configured[key]
    elif word in (DEFAULT, CONFIGURED):
        place.pop(key, None)
    else:
        place[key] = value.strip()


def _validate(model: type[_Read], data: dict[str, Any]) -> _Read:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise Refused(describe(error.errors()[0], model)) from error


def _spell(model: type[BaseModel], field: str, value: Any) -> str:
    readers = [part.func for part in model.model_fields[field].metadata if isinstance(part, BeforeValidator)]
    return next((_SPELLERS[reader](value) for reader in readers if reader in _SPELLERS), str(value))


def _instance_limit(name: str) -> str:
    known = to_snake(name.strip())
    if known in _KNOWN:
        return _KNOWN[known]
    if known in Settings.model_fields:
        raise Refused(f"{known} is a setting of the host, not of an instance; change it there")
    if within := [limit for limit in INSTANCE_LIMITS if limit.startswith(f"{known}.")]:
        raise Refused(f"{known} is not one limit; change one of {', '.join(within)}")
    if known in FrontMatter.model_fields:
        raise Refused(f"{_shown(name)} cannot be changed live; change it in the template and start bullpen again")
    raise Refused(_unknown(name, _KNOWN))


def _host_limit(name: str) -> str:
    known = to_snake(name.strip())
    if known in HOST_LIMITS:
        return known
    if within := [limit for limit in HOST_LIMITS if limit.startswith(f"{known}.")]:
        raise Refused(f"{known} is not one limit; change one of {', '.join(within)}")
    if known == "instances":
        raise Refused("instances is not one limit; change a limit of the instance itself")
    if known in _READ_AT_THE_START:
        raise Refused(
            f"{known} cannot be changed live, because {_READ_AT_THE_START[known]}; set it in bullpen.toml, or as "
            f"BULLPEN_{known.upper()}, and start bullpen again"
        )
    if known in _KNOWN:
        raise Refused(f"{_KNOWN[known]} is a limit of an instance, not of the host; change it there")
    raise Refused(_unknown(name, {limit: limit for limit in HOST_LIMITS}))


def _unknown(name: str, limits: Mapping[str, str]) -> str:
    begun = to_snake(name.strip()).replace("_", "")
    surely = nearest(name.rpartition(".")[2], limits, cutoff=0.9)
    found = [surely] if surely else [one for one in limits if begun and _begins(one, begun)]
    if not found and (near := nearest(name, limits)):
        found = [near]
    meant = [*dict.fromkeys(limits[one] for one in found)]
    if len(meant) == 1:
        return f"{_shown(name)} is not a limit; did you mean {meant[0]}?"
    if meant:
        return f"{_shown(name)} is not a limit; did you mean one of {', '.join(sorted(meant))}?"
    return f"{_shown(name)} is not a limit; the limits are {', '.join(dict.fromkeys(limits.values()))}"


def _begins(limit: str, begun: str) -> bool:
    """Whether a name, or what follows its section, begins with these letters."""
    whole = limit.replace("_", "")
    return whole.startswith(begun) or whole.rpartition(".")[2].startswith(begun)


def _shown(text: str) -> str:
    return text if text.isprintable() and len(text) <= 50 else in_words(text)
