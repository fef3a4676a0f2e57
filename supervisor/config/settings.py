"""What belongs to the host: directories, budgets and limits, and changes to what templates say.

Sources, each stronger than the one before: the template, `bullpen.toml`, the environment, the command line.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import platformdirs
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError, field_validator

from supervisor.api.errors import ConfigurationError
from supervisor.config.automation import MOST_HOOKS, HookSettings, ScheduleSettings
from supervisor.config.budgets import BudgetSettings
from supervisor.config.byte_sizes import MemoryPart, default_budget, parse_budget
from supervisor.config.durations import Limit, PositiveSeconds, Seconds
from supervisor.config.environment import read_variables
from supervisor.config.field_types import Count, PositiveCount
from supervisor.config.gateway import GatewaySettings
from supervisor.config.limits import Limits
from supervisor.config.origins import Origins
from supervisor.config.providers import Providers, ProviderSettings, provider_mistakes
from supervisor.config.routing import RoutingSettings
from supervisor.config.template_folder import find_template_files, shipped_templates
from supervisor.config.toml_file import TomlFile, find_toml, read_toml, working_directory
from supervisor.config.validation import Location, describe, dotted, in_order, told
from supervisor.files.paths import expand_home
from supervisor.files.private import claim, make_private_dir

_OPTIONS = {"state_dir": "--state", "templates_dir": "--templates", "listen": "--listen"}
"""Settings that the command line can say wrongly, and its options."""


def _default_state_dir() -> Path:
    try:
        return Path(platformdirs.user_state_dir("bullpen"))
    except RuntimeError:  # no home directory is known: refused when it is looked at
        return Path("~/.local/state/bullpen")


def _default_templates_dir() -> Path:
    here = working_directory() / "templates"
    try:
        is_used = bool(find_template_files(here).files)
    except OSError:
        is_used = False
    return here if is_used else shipped_templates()


def _default_connect_limit() -> int:
    """One start keeps about one core busy (measured: 16 at once on 2 cores take 4.0 s instead of 0.29 s)."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


class Overrides(Limits):
    """Changes to one template. Only the keys that are set count."""


class Settings(BaseModel):
    """The host's configuration. See `docs/configuration.md`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state_dir: Path = Field(
        default_factory=_default_state_dir,
        validate_default=True,
        description="Where sessions, workspaces and logs are kept. Must be on a disk that outlives the process. "
        "Default: the user's state directory.",
    )
    templates_dir: Path = Field(
        default_factory=_default_templates_dir,
        description="The folder of templates. Default: `./templates` when it holds any, else the shipped ones.",
    )
    memory_budget: Annotated[int, BeforeValidator(parse_budget)] = Field(
        default_factory=default_budget,
        description="Memory that all clients together may use: bytes, an amount such as `8GiB`, or a share of the "
        "host's memory (or of its control group's limit) such as `60%`. Default: `70%`.",
    )
    max_wait: Limit = Field(
        default=None,
        description="How long a turn waits for a place in every tool and service, whatever their templates say; `none` "
        "for no limit. Default: what the template says.",
    )
    max_agents: PositiveCount = Field(default=100, description="Clients there may be at most, over all instances.")
    agent_ttl: PositiveSeconds = Field(
        default=3600,
        description="How long any client may be idle, whatever its template's `pool.idleTtl` says. Default: 1h, or 4h "
        "where the host takes back the memory of clients that sleep.",
    )
    cleanup_interval: PositiveSeconds = Field(
        default=300, description="How often idle clients and expired sessions are looked for."
    )
    connect_limit: PositiveCount = Field(
        default_factory=_default_connect_limit,
        description="Clients that may be starting at the same time. Default: the number of processor cores.",
    )
    connect_timeout: PositiveSeconds = Field(default=60, description="How long a client may take to start.")
    control_timeout: PositiveSeconds = Field(
        default=5, description="How long a client may take to answer an interrupt or a ping."
    )
    wake_timeout: PositiveSeconds = Field(
        default=10, description="How long a client that slept may take to give a sign of life when it is woken."
    )
    dormant_budget: MemoryPart = Field(
        default=0.5,
        description="The share of the host's free swap that clients may use, what they have there already included, or "
        "`none`. Above it those that have slept longest are hibernated.",
    )
    kill_grace: Seconds = Field(default=5, description="How long a process may take to end before it is killed.")
    drain_deadline: Seconds = Field(
        default=30, description="How long a drain lets turns run before it interrupts them."
    )
    max_retries: Count = Field(
        default=3, le=15, description="How often a client repeats a request that the API refused or dropped."
    )
    stream_idle_timeout: PositiveSeconds = Field(
        default=120, description="How long a reply may send nothing before the client gives that request up."
    )
    health_interval: PositiveSeconds = Field(
        default=30, description="How often an idle client is asked for a sign of life."
    )
    stall_after: PositiveSeconds = Field(
        default=60,
        description="Silence after which a running turn is shown as stalled. Nothing is ended because of it.",
    )
    memory_interval: Annotated[Seconds, Field(ge=0.1)] = Field(
        default=2, description="How often the memory of every client is measured."
    )
    notices: bool = Field(
        default=True,
        description="Whether the dashboard tells of a new question with the bell, a desktop notice and a badge in the "
        "terminal's title.",
    )
    rehearsal: bool = Field(
        default=False, description="Run against the embedded endpoint with scripted replies: no key, no network."
    )
    gateway: GatewaySettings = Field(
        default_factory=GatewaySettings.model_construct,
        description="Where the door listens besides its socket, and for whom.",
    )
    budgets: BudgetSettings = Field(
        default_factory=BudgetSettings.model_construct, description="What may be spent in a day, and for whom."
    )
    providers: dict[str, ProviderSettings] = Field(
        default_factory=dict, description="Endpoints that clients may talk to, by names of your choice."
    )
    routing: RoutingSettings = Field(
        default_factory=RoutingSettings.model_construct, description="Where prompts go that name no agent."
    )
    hooks: tuple[HookSettings, ...] = Field(
        default=(), max_length=MOST_HOOKS, description="What is done when something happens."
    )
    schedules: tuple[ScheduleSettings, ...] = Field(
        default=(), max_length=MOST_HOOKS, description="What is done at certain times."
    )
    instances: dict[str, Overrides] = Field(
        default_factory=dict,
        description="Changes to templates, by their names: their limits, spelled as in the template.",
    )

    _folder: Path = PrivateAttr(default_factory=Path)
    """Of the file that was read: where relative references of hooks start."""
    _origins: Origins = PrivateAttr(default_factory=Origins)
    _pool_sizes: dict[str, tuple[str, str]] = PrivateAttr(default_factory=dict)
    """Instance → (variable, value) of `<INSTANCE>_CLIENT_POOL_SIZE`. Such a variable may belong to another program: it
    is looked at only when there is a template of that name."""

    @field_validator("state_dir", "templates_dir")
    @classmethod
    def _paths_are_absolute(cls, value: Path) -> Path:
        if "\0" in str(value):
            raise ValueError("must not hold a NUL character")
        expanded = expand_home(value)
        try:
            return expanded.absolute()
        except OSError as error:
            raise ValueError(
                "is relative, and the directory that bullpen was started in has been deleted: name it in full"
            ) from error

    @property
    def run_dir(self) -> Path:
        """Folder of this run's journal. Rehearsals have their own: rehearsed conversations never mix with real ones."""
        return self.state_dir / "rehearsal" if self.rehearsal else self.state_dir

    def make_state_dir(self) -> Path:
        """Creates the state directory, or makes the one that is there private. Raises `ConfigurationError`, or
        `JournalUnusable` when it belongs to another user."""
        try:
            make_private_dir(self.state_dir)
        except OSError as error:
            raise ConfigurationError(
                [
                    f"state_dir {self.state_dir} cannot be created: {error.strerror or error}; see to it, or use "
                    "another with --state DIR"
                ]
            ) from error
        return claim(self.state_dir)


class SettingsReading(NamedTuple):
    """The settings from all sources together, with the mistakes in them."""

    settings: Settings | None
    """Without what is wrong in them; None where the rest would mislead: the folder of templates, or a provider that
    templates name, may be what is missing."""
    mistakes: tuple[str, ...] = ()
    """With the place of each."""


def load_settings(
    config: Path | None = None, *, environ: Mapping[str, str] | None = None, **overrides: object
) -> Settings:
    """Reads `bullpen.toml` (`config`, or the first that is found), then the environment, then `overrides`.

    `overrides` are settings by name, from the command line; None means that it was not given. Creates nothing.
    Raises `ConfigurationError` with a line for every mistake in any of the sources.
    """
    reading = read_settings(config, environ=environ, **overrides)
    if reading.settings is None or reading.mistakes:
        raise ConfigurationError(in_order(reading.mistakes))
    return reading.settings


def read_settings(
    config: Path | None = None, *, environ: Mapping[str, str] | None = None, **overrides: object
) -> SettingsReading:
    """As `load_settings`; where there are mistakes, it returns them with the settings that remain."""
    variables = read_variables(os.environ if environ is None else environ, Settings)
    named = config or variables.config
    path = named or find_toml()
    file = read_toml(path) if path else TomlFile()
    given = {name: value for name, value in overrides.items() if value is not None}
    origins = Origins(file, variables.origins, dict(_options_in(given)))
    merged = _merge(_merge(file.data, variables.data), given)
    mistakes = [*file.mistakes, *variables.mistakes]
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        instances = merged.get("instances")
        names = list(map(str, instances)) if isinstance(instances, dict) else []
        for details in error.errors():
            location = told(details["loc"])
            sentence = describe(details, Settings, names)
            if option := origins.option_of(location):
                mistakes.append(f"{option} {sentence.removeprefix(dotted(location)).lstrip(': ')}")
            else:
                mistakes.append(f"{origins.of(location)}: {sentence}")
        settings, origins = _settle_without(merged, [told(details["loc"]) for details in error.errors()], origins)
    else:
        mistakes += [
            f"{origins.of_table(location)}: {sentence}" for location, sentence in provider_mistakes(settings.providers)
        ]
    if settings is not None:
        settings._pool_sizes = variables.pool_sizes
        settings._folder = path.absolute().parent if path else working_directory()
        settings._origins = origins
    return SettingsReading(None if file.mistakes else settings, tuple(mistakes))


def _settle_without(
    merged: Mapping[str, Any], wrong: Iterable[Location], origins: Origins
) -> tuple[Settings | None, Origins]:
    """The settings without the values that are wrong, of which whole items of tables are left out. An instance keeps
    its name: whether there is a template of that name can still be told."""
    data = dict(merged)
    dropped: dict[str, set[int]] = {}
    for location in wrong:
        match location:
            case () | ("providers" | "templates_dir", *_):
                return None, origins
            case ("instances", name, *_) if isinstance(data.get("instances"), dict):
                data["instances"] = {**data["instances"], name: {}}
            case (str(table), int(index), *_):
                dropped.setdefault(table, set()).add(index)
            case (name, *_):
                data.pop(str(name), None)
    for table, indices in dropped.items():
        if table in data:
            data[table] = [one for index, one in enumerate(data[table]) if index not in indices]
            origins = origins.without_items(table, indices)
    try:
        return Settings.model_validate(data), origins
    except ValidationError:
        return None, origins


def _options_in(given: Mapping[str, object]) -> Iterator[tuple[Location, str]]:
    for name, value in given.items():
        for key in value if isinstance(value, dict) else ("",):
            if option := _OPTIONS.get(key or name):
                yield ((name, key) if key else (name,)), option


def find_agent_ttl(settings: Settings, idle_ttl: float) -> float:
    """Seconds that any client may be idle. What is said holds; where nothing is, those that sleep have their time,
    which is `idle_ttl` on this host."""
    is_said = "agent_ttl" in settings.model_fields_set
    return settings.agent_ttl if is_said else max(settings.agent_ttl, idle_ttl)


def providers_of(settings: Settings) -> Providers:
    """The providers of these settings, with references to secrets followed."""
    return Providers(settings.providers, os.environ, rehearses=settings.rehearsal)


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both, mapping by mapping; where both have a value, that of `above`."""
    merged = dict(below)
    for key, value in above.items():
        inside = merged.get(key)
        merged[key] = _merge(inside, value) if isinstance(inside, dict) and isinstance(value, dict) else value
    return merged
