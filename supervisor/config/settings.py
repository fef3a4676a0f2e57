"""What belongs to the host: directories, budgets and limits, and changes to what templates say.

Sources, each stronger than the one before: the template, `bullpen.toml`, the environment, the command line.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import platformdirs
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError, field_validator

from supervisor.api.automation import Hook, Schedule
from supervisor.api.errors import ConfigurationError, one_sentence
from supervisor.api.types import Archetype
from supervisor.config.automation import (
    MOST_HOOKS,
    HookSettings,
    ScheduleSettings,
    make_hooks,
    make_schedules,
    unknown_targets,
)
from supervisor.config.budgets import BudgetSettings
from supervisor.config.byte_sizes import MemoryPart, default_budget, parse_budget
from supervisor.config.contradictions import contradictions
from supervisor.config.durations import Limit, PositiveSeconds, Seconds
from supervisor.config.environment import read_variables
from supervisor.config.field_types import Count, PositiveCount
from supervisor.config.gateway import GatewaySettings
from supervisor.config.limits import Concurrency, Limits, QueueLimits
from supervisor.config.providers import HOST, Providers, ProviderSettings, provider_mistakes
from supervisor.config.restrictions import find_mistakes
from supervisor.config.routing import RoutingSettings
from supervisor.config.template import Template
from supervisor.config.template_file import Reading
from supervisor.config.template_folder import find_template_files
from supervisor.config.templates import read_templates, shipped_templates
from supervisor.config.toml_file import TomlFile, find_toml, read_toml, working_directory
from supervisor.config.validation import Location, describe, nearest, section, told
from supervisor.files.paths import expand_home
from supervisor.files.private import claim, make_private_dir
from supervisor.quick_dataclass import dataclass
from supervisor.text.cleaning import show_name


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
        default=3600, description="How long any client may be idle, whatever its template's `pool.idleTtl` says."
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
        """Where this run keeps its journal: rehearsed conversations never mix with real ones."""
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


def load_settings(
    config: Path | None = None, *, environ: Mapping[str, str] | None = None, **overrides: object
) -> Settings:
    """Reads `bullpen.toml` (`config`, or the first that is found), then the environment, then `overrides`.

    `overrides` are settings by name, from the command line; None means that it was not given. Creates nothing.
    Raises `ConfigurationError` with a line for every mistake in any of the sources.
    """
    variables = read_variables(os.environ if environ is None else environ, Settings)
    named = config or variables.config
    path = named or find_toml()
    file = read_toml(path) if path else TomlFile()
    given = {name: value for name, value in overrides.items() if value is not None}
    merged = {**_merge(file.data, variables.data), **given}
    mistakes = [*file.mistakes, *variables.mistakes]
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        instances = merged.get("instances")
        names = list(map(str, instances)) if isinstance(instances, dict) else []
        for details in error.errors():
            origin = _origin(told(details["loc"]), file, variables.origins, given)
            mistakes.append(f"{origin}: {describe(details, Settings, names)}")
    else:
        mistakes += provider_mistakes(settings.providers)
    if mistakes:
        raise ConfigurationError(mistakes)
    settings._pool_sizes = variables.pool_sizes
    settings._folder = path.absolute().parent if path else working_directory()
    return settings


def apply_overrides(template: Template, settings: Settings) -> Template:
    """The template as this host runs it. Raises `ConfigurationError` when what results contradicts itself.

    An instance's own value is stronger than the host-wide `max_wait`. That one leaves employees alone: their tickets
    wait as long as their colleague needs.
    """
    result = template
    if "max_wait" in settings.model_fields_set and template.archetype is not Archetype.EMPLOYEE:
        result = _change(result, Overrides(queue=QueueLimits(max_wait=settings.max_wait)))
    # A file names the instance, a variable only its slug; the variable is the stronger one.
    for name in dict.fromkeys((template.name, template.slug)):
        if name in settings._pool_sizes:
            sessions = _pool_size(*settings._pool_sizes[name])
            result = _change(result, Overrides(concurrency=Concurrency(max_sessions=sessions)))
        if name in settings.instances:
            result = _change(result, settings.instances[name])
    if found := contradictions(result):
        raise ConfigurationError(
            [f"{show_name(template.name)}, with this host's settings: {key} {sentence}" for key, sentence in found]
        )
    return result


def _change(template: Template, changes: Overrides) -> Template:
    return template.model_copy(
        update={
            **{name: value for name, value in _set_in(changes).items() if section(Overrides, name) is None},
            "concurrency": template.concurrency.model_copy(update=_set_in(changes.concurrency)),
            "pool": template.pool.model_copy(update=_set_in(changes.pool)),
            "queue": template.queue.model_copy(update=_set_in(changes.queue)),
            "budget": template.budget.model_copy(update=_set_in(changes.budget)),
        }
    )


@dataclass(frozen=True)
class Loaded:
    """What the folder of templates gives this host."""

    templates: tuple[Template, ...]
    """As this host runs them."""
    left_out: tuple[str, ...] = ()
    """A line for every mistake in the files that do not run."""
    notes: tuple[str, ...] = ()
    """A line for what is accepted and has no effect, or another one than might be thought."""
    files_left_out: int = 0


def hooks_for(settings: Settings, templates: Iterable[Template]) -> tuple[Hook, ...]:
    """Of the host, and then those of each template."""
    of_templates = (
        hook
        for one in templates
        for hook in make_hooks(one.own_hooks, instance=one.name, folder=one.path.absolute().parent)
    )
    return (*make_hooks(settings.hooks, folder=settings._folder), *of_templates)


def schedules_for(settings: Settings) -> tuple[Schedule, ...]:
    return make_schedules(settings.schedules, folder=settings._folder)


def load_for(settings: Settings) -> Loaded:
    """Every template that can run here; what is wrong with the others is told.

    Raises `ConfigurationError` with a line for every mistake when none can run, or when the settings change an instance
    that no file describes.
    """
    readings = as_they_run(read_templates(settings.templates_dir), settings)
    good = tuple(reading.template for reading in readings if reading.template is not None and not reading.mistakes)
    wrong = [reading for reading in readings if reading.mistakes]
    left_out = [line for reading in wrong for line in reading.mistake_lines()]
    found = [one.template for one in readings if one.template is not None]
    doing: list[Hook | Schedule] = [*hooks_for(settings, found), *schedules_for(settings)]
    strangers = [*unknown_instances(settings, found), *unknown_targets(doing, {one.name: one for one in found})]
    # The instance may be that of a file which cannot be read.
    is_explained = any(not reading.is_named for reading in wrong)
    if not good or (strangers and not is_explained):
        raise ConfigurationError([*strangers, *left_out])
    notes = [line for reading in readings for line in reading.note_lines() if not _is_readme(reading)]
    notes += [f"providers.{one.name} cannot be used: {one.mistake}" for one in providers_of(settings) if one.mistake]
    told = tuple(map(one_sentence, (*strangers, *left_out)))
    return Loaded(good, told, tuple(map(one_sentence, notes)), len(wrong))


def templates_for(settings: Settings) -> tuple[Template, ...]:
    """Every template of the settings' folder as this host runs it.

    Raises `ConfigurationError` with a line for every mistake: in the files, in what the settings make of them, and for
    every instance that settings change and no template describes.
    """
    loaded = load_for(settings)
    if loaded.left_out:
        raise ConfigurationError(list(loaded.left_out))
    return loaded.templates


def as_they_run(readings: Iterable[Reading], settings: Settings) -> list[Reading]:
    """With the host's changes, and with what they ask of this host in vain."""
    return [_as_it_runs(reading, settings) for reading in readings]


def _as_it_runs(reading: Reading, settings: Settings) -> Reading:
    """With the host's changes, and with what the template asks of this host in vain."""
    if (written := reading.template) is None:
        return reading
    reading = reading.with_mistakes(find_mistakes(written, os.environ))
    if sentence := _mistake_in_provider(written, settings):
        reading = reading.with_mistakes([(("provider",), f"provider {sentence}")])
    try:
        return replace(reading, template=apply_overrides(written, settings))
    except ConfigurationError as error:
        # What contradicts itself without the host's settings has been told with the file's own mistakes.
        is_told = bool(contradictions(written))
        return reading if is_told else reading.with_sentences(error.mistakes)


def providers_of(settings: Settings) -> Providers:
    """With the references of their secrets followed."""
    return Providers(settings.providers, os.environ, rehearses=settings.rehearsal)


def _mistake_in_provider(template: Template, settings: Settings) -> str:
    """Why its provider or model cannot be used here, as the rest of a sentence; empty when they can."""
    if template.provider is None and HOST not in settings.providers:
        return ""
    names = providers_of(settings)
    name = template.provider or HOST
    if name not in names:
        known = sorted(one.name for one in names)
        near = nearest(name, dict.fromkeys(known))
        remedy = f"did you mean {near}?" if near else f"bullpen.toml has {', '.join(known)}"
        return f"{show_name(name[:60])} is not known; {remedy}"
    found = names.get(name)
    if found.mistake:
        return f"{name} cannot be used: {found.mistake}"
    if template.model and not found.model(template.model):
        models = ", ".join(found.settings.models or ())
        return f"{name} has no model {show_name(template.model)}; there are: {models}"
    return ""


def _is_readme(reading: Reading) -> bool:
    return reading.template is None and reading.file.path.stem.lower() == "readme"


def unknown_instances(settings: Settings, templates: Iterable[Template]) -> list[str]:
    """A line for every instance that settings name and no template describes."""
    templates = list(templates)
    names = {name: template for template in templates for name in (template.name, template.slug)}
    default, own = settings.routing.default, {template.name: template for template in templates}
    strangers = [
        f"routing.default: there is no template {show_name(default)}" + (f"; did you mean {near}?" if near else "")
        for near in [nearest(default, own)]
        if default and default not in own
    ]
    return strangers + [
        f"instances.{show_name(name)}: there is no template of that name" + (f"; did you mean {near}?" if near else "")
        for name in settings.instances
        if name not in names
        for near in [nearest(name, names)]
    ]


def _pool_size(variable: str, value: str) -> int:
    try:
        return Concurrency.model_validate({"maxSessions": value}).max_sessions
    except ValidationError as error:
        raise ConfigurationError([f"{variable}: {describe(error.errors()[0], Concurrency)}"]) from error


def _set_in(model: BaseModel) -> dict[str, Any]:
    return {name: getattr(model, name) for name in model.model_fields_set}


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both, mapping by mapping; where both have a value, that of `above`."""
    merged = dict(below)
    for key, value in above.items():
        inside = merged.get(key)
        merged[key] = _merge(inside, value) if isinstance(inside, dict) and isinstance(value, dict) else value
    return merged


def _origin(location: Location, file: TomlFile, origins: Mapping[Location, str], given: Mapping[str, object]) -> str:
    """Where the value came from, as its writer would look for it."""
    if location[0] in given:
        return f"--{str(location[0]).replace('_', '-')}"
    return origins.get(location) or file.origin(location)
