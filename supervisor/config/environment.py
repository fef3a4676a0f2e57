"""Settings from environment variables.

`BULLPEN_MAX_AGENTS=50` is a setting of the host, `BULLPEN_HELPDESK_MAX_SESSIONS=5` one of the instance `helpdesk`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.alias_generators import to_snake

from supervisor.config.limits import LIMITS
from supervisor.config.validation import Location, nearest

PREFIX = "BULLPEN_"

ELSEWHERE = (
    "BULLPEN_CONFIG",
    "BULLPEN_LOG",
    "BULLPEN_URL",
    "BULLPEN_TOKEN",
    "BULLPEN_CLIENT",
    "BULLPEN_KEEP",
    "BULLPEN_SUPERVISOR",
    "BULLPEN_UMASK",
    "BULLPEN_HOOK_ID",
    "BULLPEN_HOOK_DEPTH",
)
"""Variables that are read in other places: the settings file, the log, which bullpen a command means, by the script
and the guard that start a client, and by commands that a hook starts."""

TABLES = ("instances", "providers", "budgets", "routing", "gateway", "hooks", "schedules")
"""What only a file can say, as a table of its own."""

OLDER_NAMES = {
    "CLIENT_POOL_MAX_WAIT": "max_wait",
    "AGENT_MAX_INSTANCES": "max_agents",
    "AGENT_TTL_SECONDS": "agent_ttl",
    "AGENT_CLEANUP_INTERVAL": "cleanup_interval",
}
"""Names that earlier designs gave to settings of the host (S2.25, S5.7)."""

OLDER_POOL_SIZE = "_CLIENT_POOL_SIZE"
"""After an instance's name: what `_MAX_SESSIONS` says now (S2.25)."""

INSTANCE_KEYS: dict[str, tuple[str, ...]] = {to_snake(location[-1]).upper(): location for location in LIMITS}
"""`MAX_SESSIONS` → (`concurrency`, `maxSessions`) and so on: what may follow an instance's name."""


@dataclass
class Variables:
    """Settings from environment variables, and where each was found."""

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[Location, str] = field(default_factory=dict)
    """Which variable a value came from."""
    mistakes: list[str] = field(default_factory=list)
    config: Path | None = None
    """The settings file that the environment names."""
    pool_sizes: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Instance → (variable, value): what `<INSTANCE>_CLIENT_POOL_SIZE` says where no newer name says it."""

    def put(self, location: tuple[str, ...], value: str, name: str) -> None:
        place = self.data
        for part in location[:-1]:
            place = place.setdefault(part, {})
        place[location[-1]] = value
        self.origins[location] = name


def read_variables(environ: Mapping[str, str], settings: type[BaseModel]) -> Variables:
    """The variables that are ours. An empty one counts as not set; a newer name is stronger than an older one."""
    found = Variables()
    present = {name: value.strip() for name, value in environ.items() if value.strip()}
    if config := present.get("BULLPEN_CONFIG"):
        found.config = Path(config)
    for name in sorted(OLDER_NAMES.keys() & present.keys()):
        found.put((OLDER_NAMES[name],), present[name], name)
    host = {PREFIX + name.upper(): name for name in settings.model_fields if name not in TABLES}
    for name in sorted(present):
        if name.endswith(OLDER_POOL_SIZE):
            _put_pool_size(found, name, present)
        elif not name.startswith(PREFIX) or name in ELSEWHERE:
            continue
        elif name in host:
            found.put((host[name],), present[name], name)
        elif (location := _of_instance(name)) is not None:
            found.put(location, present[name], name)
        else:
            found.mistakes.append(_unknown(name, [*host, *ELSEWHERE]))
    return found


def _put_pool_size(found: Variables, name: str, present: Mapping[str, str]) -> None:
    instance = name.removesuffix(OLDER_POOL_SIZE).removeprefix(PREFIX)
    if f"{PREFIX}{instance}_MAX_SESSIONS" not in present:
        found.pool_sizes[_instance_name(instance)] = (name, present[name])


def _of_instance(name: str) -> tuple[str, ...] | None:
    """`BULLPEN_HELP_DESK_MAX_WAIT` → instances, help-desk, queue, maxWait."""
    rest = name.removeprefix(PREFIX)
    for suffix in sorted(INSTANCE_KEYS, key=len, reverse=True):
        if rest.endswith(f"_{suffix}"):
            return ("instances", _instance_name(rest.removesuffix(f"_{suffix}")), *INSTANCE_KEYS[suffix])
    return None


def _instance_name(name: str) -> str:
    return name.lower().replace("_", "-")


def _unknown(name: str, valid: list[str]) -> str:
    if (suffix := name.removeprefix(PREFIX)) in INSTANCE_KEYS:
        return f"{name} does not say for which instance; BULLPEN_HELPDESK_{suffix} would be for helpdesk"
    if (near := nearest(name.removeprefix(PREFIX), {word.removeprefix(PREFIX): word for word in valid})) is not None:
        return f"{name} is not a setting; did you mean {PREFIX}{near}?"
    return f"{name} is not a setting; docs/configuration.md lists them"
