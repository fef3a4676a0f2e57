"""Keeps instances as their templates are: whatever is saved holds from the next idle boundary on.

Read again whenever something has changed in the folder, in skills, or in files that `env` names. A file that cannot run
changes nothing: what it was before goes on, and the mistake is shown. A template that is gone drains its instance.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import anyio

from supervisor.api import events as past
from supervisor.api.errors import ConfigurationError, one_sentence
from supervisor.api.states import InstanceState
from supervisor.config.live_limits import keep_adjustments
from supervisor.config.loading import as_they_run, unknown_instances
from supervisor.config.settings import Settings
from supervisor.config.template import Template
from supervisor.config.template_file import TemplateReading, read_template
from supervisor.config.template_folder import Found, TemplateFile, find_template_files
from supervisor.config.template_sources import Stamp, find_sources, take_stamps
from supervisor.config.templates import read_found
from supervisor.engine.roster import Compiled, Roster
from supervisor.engine.template_watch import Folder, TemplateWatch, find_folders
from supervisor.engine.view import View
from supervisor.in_thread import run_in_thread
from supervisor.instance import stimuli
from supervisor.instance.instance import Instance
from supervisor.instance.shared import HostContext
from supervisor.text.cleaning import show_name

_log = logging.getLogger(__name__)

PATIENCE = 0.5
"""Seconds after which a template that was not there is looked for again: some editors take a file away before they put
the new one in its place."""
SURE_AFTER = 2_000_000_000
"""Nanoseconds since a file was written, after which another stamp is certain to come with another content."""
DROPPING = 0.2
"""Seconds between two looks whether a removed instance is empty."""
GOES_ON = " (the version before goes on)"

_KEPT = "the folder cannot be read ({why}): the templates go on as they were read last"


class _Fresh(NamedTuple):
    """One reading of everything."""

    readings: tuple[TemplateReading, ...]
    stamps: Mapping[str, Stamp | None]
    """Of the folder, the files, and what their clients are made from; taken before any of it was read."""
    folders: frozenset[Folder]
    """The folders that all these files are in."""
    sources: Mapping[str, frozenset[str]]
    """Name of a template → what its clients are made from besides its file."""
    is_there: frozenset[str]
    """Of the files that instances were made from, those that still exist."""
    trouble: str = ""
    """Why the folder could not be read."""


class _Readings:
    """Files that have not changed are not read again: a folder may hold thousands of them."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Stamp, TemplateReading]] = {}

    def read_all(self, folder: Path, found: Found, stamps: Mapping[str, Stamp | None]) -> tuple[TemplateReading, ...]:
        """Blocking. The stamps were taken before."""
        before, self._kept = self._kept, {}

        def read(file: TemplateFile) -> TemplateReading:
            path = str(file.path)
            stamp, kept = stamps.get(path), before.get(path)
            if kept is None or kept[0] != stamp or kept[1].file != file:
                kept = None
            reading = kept[1] if kept is not None else read_template(file)
            # A file that was written just now may be written again without another stamp.
            if stamp is not None and time.time_ns() - stamp.mtime_ns > SURE_AFTER:
                self._kept[path] = (stamp, reading)
            return reading

        return read_found(folder, found, read)


class LiveTemplates:
    """State: what each instance's file said when it was last good."""

    def __init__(
        self,
        instances: Mapping[str, Instance],
        host: HostContext,
        roster: Roster,
        view: View,
        watch: TemplateWatch,
        files: dict[str, Template],
    ) -> None:
        self._instances = instances
        self._host = host
        self._settings = host.settings
        """As they were at the start: what is changed live since is carried over (`keep_adjustments`)."""
        self._roster = roster
        self._view = view
        self._watch = watch
        self._files = files
        """Name → the template as its file says it, with what the host changes: an operator's changes not among it.
        Kept current for the engine."""
        self._readings = _Readings()
        self._made_from: dict[str, Mapping[str, Stamp | None]] = {}
        """Name → the stamps of its sources when its clients were compiled last."""
        self._told: frozenset[str] = frozenset(view.left_out)

    async def run(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch.run)
            group.start_soon(self._drop_the_empty)
            self._watch.stir()  # a file may have been saved since it was read at the start
            while True:
                await self._watch.wait()
                try:
                    await self._look()
                except Exception as error:
                    # A mistake of a kind that was not thought of: what runs goes on.
                    _log.exception("the templates cannot be followed")
                    self._tell([f"the templates cannot be followed, see the log: {type(error).__name__}"])

    async def _look(self) -> None:
        """Reads everything again, and has the instances become what it says."""
        fresh = await self._read()
        if self._find_missing(fresh):
            await anyio.sleep(PATIENCE)
            fresh = await self._read()
        for path in self._watch.follow(fresh.stamps, fresh.folders):
            self._host.caches.change(path)
        await self._apply(fresh)

    async def _read(self) -> _Fresh:
        paths = [str(template.path) for template in self._files.values()]
        return await run_in_thread(
            partial(_read_everything, self._settings, self._roster.environment, paths, self._readings),
            abandon_on_cancel=True,
        )

    def _find_missing(self, fresh: _Fresh) -> set[str]:
        """Names of instances whose template is not in the folder any more."""
        if fresh.trouble:
            return set()
        good = {
            reading.template.name for reading in fresh.readings if reading.template is not None and reading.is_named
        }
        held = {str(reading.file.path) for reading in fresh.readings if _is_bad(reading)}
        return {
            name
            for name, template in self._files.items()
            if name not in good and not (str(template.path) in held and str(template.path) in fresh.is_there)
        }

    async def _apply(self, fresh: _Fresh) -> None:
        mistakes: list[str] = [fresh.trouble] if fresh.trouble else []
        if not fresh.trouble:
            strangers = unknown_instances(self._settings, [one.template for one in fresh.readings if one.template])
            mistakes += map(one_sentence, strangers)
        by_path = {str(template.path): name for name, template in self._files.items()}
        blamed: dict[str, str] = {}
        for reading in fresh.readings:
            lines = reading.mistake_lines()
            owner = by_path.get(str(reading.file.path))
            if not lines and reading.template is not None:
                lines = await self._take(reading.template, fresh)
                owner = reading.template.name if reading.template.name in self._files else owner
            elif not lines and owner is not None:
                lines = reading.note_lines()  # no front matter: for a file that ran, that is a mistake
            told = [one_sentence(line) for line in lines]
            if told and owner is not None and owner in self._instances:
                blamed[owner] = told[0]
                told = [line + GOES_ON for line in told]
            mistakes += told
        missing = self._find_missing(fresh)
        for name, instance in tuple(self._instances.items()):
            if instance.core.template_mistake != blamed.get(name, ""):
                instance.handle(stimuli.BlameTemplate(blamed.get(name, "")))
            if name in missing:
                instance.handle(stimuli.RemoveTemplate())
            elif instance.core.is_removed and not fresh.trouble:
                instance.handle(stimuli.RestoreTemplate())
        self._tell(mistakes)

    async def _take(self, template: Template, fresh: _Fresh) -> list[str]:
        """A good version of a file. Returns what is wrong with it after all."""
        before, name = self._files.get(template.name), template.name
        sources = {path: fresh.stamps[path] for path in fresh.sources.get(name, ())}
        is_same = before == template and self._made_from.get(name, sources) == sources
        if is_same and name in self._instances:
            self._made_from[name] = sources
            return []
        try:
            compiled: Compiled = await run_in_thread(self._roster.compile, template)
        except ConfigurationError as error:
            return error.mistakes
        running = self._instances.get(name)
        if running is None:
            if not await self._roster.add(template, compiled):
                return []
        else:
            merged = keep_adjustments(before or running.template, running.template, template)
            changed = find_changes(before, template)
            is_other = compiled[0].digest != running.core.connector.digest
            if changed or is_other:
                self._roster.replace(merged, compiled, changed or ("skills",))
        self._files[name], self._made_from[name] = template, sources
        return []

    def _tell(self, mistakes: Iterable[str]) -> None:
        """Shows what is wrong, and tells what is wrong now and was not before."""
        lines = tuple(dict.fromkeys(mistakes))
        if lines != self._view.left_out:
            self._view.left_out = lines
            self._host.feed.touch_host()
        now = self._host.clock.wall()
        for line in lines:
            if line not in self._told:
                self._host.feed.publish(past.TemplateBroken(at=now, message=line))
        if self._told and not lines:
            self._host.feed.publish(past.TemplateMended(at=now))
        self._told = frozenset(lines)

    async def _drop_the_empty(self) -> None:
        """An instance whose template was removed is gone once it is empty."""
        closed = (InstanceState.DRAINED, InstanceState.STOPPED)
        while True:
            for name, instance in tuple(self._instances.items()):
                if instance.core.is_removed and instance.is_empty and instance.state in closed:
                    self._roster.drop(name)
                    self._files.pop(name, None)
                    self._made_from.pop(name, None)
            await anyio.sleep(DROPPING)


def find_changes(before: Template | None, after: Template) -> tuple[str, ...]:
    """Keys whose values differ, as files spell them; `prompt` for the body."""
    if before is None:
        return ()
    fields = {name: its.alias or name for name, its in Template.model_fields.items()}
    names = {**fields, "system_prompt": "prompt", "path": "file"}
    return tuple(names[name] for name in fields if getattr(before, name) != getattr(after, name))


def _is_bad(reading: TemplateReading) -> bool:
    """Whether the file was meant to be a template and has mistakes, or is a template no more."""
    return bool(reading.mistakes) or reading.template is None


def _read_everything(
    settings: Settings, environment: Mapping[str, str], paths: Iterable[str], readings_before: _Readings
) -> _Fresh:
    """Blocking. `paths` are the files that instances were made from."""
    folder = settings.templates_dir
    stamps: dict[str, Stamp | None] = take_stamps([str(folder), *paths])
    try:
        found = find_template_files(folder)
    except OSError as error:
        why = _KEPT.format(why=error.strerror or error)
        return _Fresh((), stamps, find_folders(stamps), {}, frozenset(), f"{show_name(folder)}: {why}")
    stamps |= take_stamps([*found.folders, *(str(file.path) for file in found.files)])
    readings = tuple(as_they_run(readings_before.read_all(folder, found, stamps), settings))
    sources = {
        reading.template.name: find_sources(reading.template, environment)
        for reading in readings
        if reading.template is not None
    }
    stamps |= take_stamps(path for some in sources.values() for path in some)
    return _Fresh(readings, stamps, find_folders(stamps), sources, frozenset(filter(os.path.exists, paths)))
