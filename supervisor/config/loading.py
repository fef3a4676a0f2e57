"""The templates of a host as its settings have them run, with what is wrong with any of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from shutil import which
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from supervisor.api.automation import ActionKind, Hook, Schedule, is_reference
from supervisor.api.errors import ConfigurationError, one_sentence
from supervisor.api.states import Archetype
from supervisor.config.automation import make_hooks, make_schedules, unknown_targets
from supervisor.config.contradictions import contradictions
from supervisor.config.host_notes import find_host_notes
from supervisor.config.limits import Concurrency, QueueLimits
from supervisor.config.providers import HOST
from supervisor.config.restrictions import find_mistakes
from supervisor.config.settings import Overrides, Settings, providers_of, read_settings
from supervisor.config.shared_servers import is_shared, read_spec
from supervisor.config.template import Template
from supervisor.config.template_file import TemplateReading
from supervisor.config.template_notes import find_limit_notes
from supervisor.config.templates import read_templates
from supervisor.config.validation import Location, describe, in_order, nearest, section
from supervisor.text.cleaning import clean, one_line, show_name

CEILINGS = ("cost_per_day", "tokens_per_day", "turns_per_day")


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


class Loaded(NamedTuple):
    """The templates of a folder as this host runs them, with mistakes and notes."""

    templates: tuple[Template, ...]
    """As this host runs them."""
    left_out: tuple[str, ...] = ()
    """A line for every mistake in the files that do not run."""
    notes: tuple[str, ...] = ()
    """A line for what is accepted and has no effect, or another one than might be thought."""
    files_left_out: int = 0


def find_missing_programs(doing: Iterable[Hook | Schedule]) -> list[str]:
    """A line for each program that a hook or a schedule starts and that is not there."""
    found = []
    for one in doing:
        kind = "the schedule" if isinstance(one, Schedule) else "the gate" if one.gate else "the hook"
        for action in one.actions:
            path = action.env.get("PATH", os.environ.get("PATH", ""))
            if action.kind is not ActionKind.SHELL or is_reference(path):
                continue
            if which(action.command[0], path=path) is None:
                program = one_line(clean(action.command[0]), 100)
                found.append(f"{kind} {show_name(one.name)}: there is no program {program} here: each run of it fails")
    return found


def count_declared(settings: Settings, templates: Iterable[Template]) -> dict[str, int]:
    """How many hooks, gates, schedules and so on the settings and templates declare, by their word in the singular."""
    templates = tuple(templates)
    hooks = hooks_for(settings, templates)
    servers = {
        read_spec(server, one.path.parent.absolute(), os.environ).digest
        for one in templates
        for server in one.mcp_servers.values()
        if is_shared(server)
    }
    ceilings = [getattr(settings.budgets, scope) for scope in type(settings.budgets).model_fields]
    ceilings += [one.budget for one in templates]
    return {
        "hook": sum(not one.gate for one in hooks),
        "gate": sum(one.gate for one in hooks),
        "schedule": len(schedules_for(settings)),
        "provider": len(settings.providers),
        "budget": sum(getattr(one, name) is not None for one in ceilings for name in CEILINGS),
        "shared MCP server": len(servers),
    }


def hooks_for(settings: Settings, templates: Iterable[Template]) -> tuple[Hook, ...]:
    """All hooks: those of the host, then those of each template."""
    of_templates = (
        hook
        for one in templates
        for hook in make_hooks(one.own_hooks, instance=one.name, folder=one.path.absolute().parent)
    )
    return (*make_hooks(settings.hooks, folder=settings._folder), *of_templates)


def schedules_for(settings: Settings) -> tuple[Schedule, ...]:
    return make_schedules(settings.schedules, folder=settings._folder)


def load_host(
    config: Path | None = None, *, environ: Mapping[str, str] | None = None, **overrides: object
) -> tuple[Settings, Loaded]:
    """The settings (`load_settings`) and what the folder of templates gives them.

    Raises `ConfigurationError` with a line for every mistake in both: with mistakes in the settings, the templates are
    looked at as far as what is right in the settings allows.
    """
    reading = read_settings(config, environ=environ, **overrides)
    if reading.settings is not None and not reading.mistakes:
        return reading.settings, load_for(reading.settings)
    mistakes = [*reading.mistakes]
    if reading.settings is not None:
        try:
            mistakes += load_for(reading.settings).left_out
        except ConfigurationError as error:
            mistakes += error.mistakes
    raise ConfigurationError(in_order(mistakes))


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
    strangers = [*unknown_instances(settings, found), *_unknown_targets_in(settings, found)]
    # The instance may be that of a file which cannot be read.
    is_explained = any(not reading.is_named for reading in wrong)
    if not good or (strangers and not is_explained):
        raise ConfigurationError(in_order([*strangers, *left_out]))
    notes = [line for reading in readings for line in reading.note_lines() if not _is_readme(reading)]
    notes += find_missing_programs(doing)
    notes += [f"providers.{one.name} cannot be used: {one.mistake}" for one in providers_of(settings) if one.mistake]
    told = tuple(map(one_sentence, in_order([*strangers, *left_out])))
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


def as_they_run(readings: Iterable[TemplateReading], settings: Settings) -> list[TemplateReading]:
    """The readings as this host runs them: with its changes, and with mistakes and notes on what a template asks of
    this host in vain."""
    return [_as_it_runs(reading, settings) for reading in readings]


def _as_it_runs(reading: TemplateReading, settings: Settings) -> TemplateReading:
    """The reading with the host's changes, and with mistakes and notes on what the template asks of this host in
    vain."""
    if (written := reading.template) is None:
        return reading
    reading = reading.with_mistakes(find_mistakes(written, os.environ))
    reading = reading.with_notes(find_host_notes(written, os.environ))
    if sentence := _mistake_in_provider(written, settings):
        reading = reading.with_mistakes([(("provider",), f"provider {sentence}")])
    try:
        template = apply_overrides(written, settings)
    except ConfigurationError as error:
        # What contradicts itself without the host's settings has been told with the file's own mistakes.
        is_told = bool(contradictions(written))
        return reading if is_told else reading.with_sentences(error.mistakes)
    return replace(reading, template=template).with_notes(find_limit_notes(template))


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


def _is_readme(reading: TemplateReading) -> bool:
    return reading.template is None and reading.file.path.stem.lower() == "readme"


def unknown_instances(settings: Settings, templates: Iterable[Template]) -> list[str]:
    """A line for every instance that settings name and no template describes, with the place where they name it."""
    templates = list(templates)
    names = {name: template for template in templates for name in (template.name, template.slug)}
    default, own = settings.routing.default, {template.name: template for template in templates}
    strangers = []
    if default and default not in own:
        sentence = f"routing.default: there is no template {show_name(default)}{_did_you_mean(default, own)}"
        strangers.append(_placed(settings, ("routing", "default"), sentence))
    for name in settings.instances:
        if name not in names:
            sentence = f"instances.{show_name(name)}: there is no template of that name{_did_you_mean(name, names)}"
            strangers.append(_placed(settings, ("instances", name), sentence))
    return strangers


def _unknown_targets_in(settings: Settings, templates: Iterable[Template]) -> list[str]:
    """A line for every agent that a hook or a schedule prompts and that no template describes."""
    templates = tuple(templates)
    agents = {one.name: one for one in templates}
    found = []
    tables: dict[str, tuple[Hook | Schedule, ...]] = {
        "hooks": hooks_for(settings, ()),
        "schedules": schedules_for(settings),
    }
    for table, doing in tables.items():
        for number, one in enumerate(doing):
            found += [_placed(settings, (table, number), line) for line in unknown_targets([one], agents)]
    of_templates = [hook for hook in hooks_for(settings, templates) if hook.instance]
    return [*found, *unknown_targets(of_templates, agents)]


def _placed(settings: Settings, location: Location, sentence: str) -> str:
    place = settings._origins.of_table(location)
    return f"{place}: {sentence}" if place else sentence


def _did_you_mean(name: str, names: Mapping[str, object]) -> str:
    return f"; did you mean {near}?" if (near := nearest(name, names)) else ""


def _pool_size(variable: str, value: str) -> int:
    try:
        return Concurrency.model_validate({"maxSessions": value}).max_sessions
    except ValidationError as error:
        raise ConfigurationError([f"{variable}: {describe(error.errors()[0], Concurrency)}"]) from error


def _set_in(model: BaseModel) -> dict[str, Any]:
    return {name: getattr(model, name) for name in model.model_fields_set}
