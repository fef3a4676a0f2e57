"""Checks everything that bullpen needs from this machine, before the first prompt needs it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from supervisor.api.errors import BullpenError, ConfigurationError
from supervisor.claude.credentials import find_credentials
from supervisor.clock import Clock
from supervisor.config.durations import spell_duration
from supervisor.config.host_notes import find_host_notes
from supervisor.config.limits import LONG_IDLE, SHORT_IDLE
from supervisor.config.loading import find_missing_programs, hooks_for, load_for, schedules_for
from supervisor.config.settings import Settings, find_agent_ttl, providers_of
from supervisor.files.disk_use import measure_disk
from supervisor.files.private import claim, explain_os_error, is_replaceable
from supervisor.files.session_files import CliStore
from supervisor.journal import examine_journal
from supervisor.process.executable import find_bundled_cli
from supervisor.process.host_memory import HostMemory, look_at_host
from supervisor.text.cleaning import show_name
from supervisor.text.urls import bare_url

PER_CLIENT = 250_000_000
"""Bytes of one idle client's process tree after a few turns (measured: 170-240 MB)."""

_LEAST_FREE = 50_000_000
"""Least free disk, in bytes, that passes the check."""
_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")


@dataclass(frozen=True, slots=True)
class Finding:
    subject: str
    is_good: bool
    text: str
    """What was found, and what to do when it is not good."""


def examine(settings: Settings) -> Iterator[Finding]:
    """One finding after the other; the slow one (starting the CLI once) last."""
    yield Finding("python", sys.version_info >= (3, 11), f"{platform.python_version()} on {platform.platform()}")
    yield _examine_credentials(settings)
    yield _examine_memory(settings)
    yield _examine_sleep(look_at_host(), settings)
    yield _examine_state(settings)
    yield from _examine_providers(settings)
    yield from _examine_templates(settings)
    yield _examine_terminal()
    yield _examine_sdk()
    yield _examine_cli()


def _examine_credentials(settings: Settings) -> Finding:
    source = find_credentials(os.environ)
    if source is None and settings.rehearsal:
        return Finding("credentials", True, "none, and rehearsal needs none")
    if source is None:
        return Finding(
            "credentials",
            False,
            "none found: set ANTHROPIC_API_KEY or log in with `claude`; rehearsal needs none (`bullpen --rehearsal`)",
        )
    base = os.environ.get("ANTHROPIC_BASE_URL")
    proxy = next((value for name in _PROXIES if (value := os.environ.get(name))), None)
    text = source + (f", for {bare_url(base)}" if base else "") + (f", through {bare_url(proxy)}" if proxy else "")
    return Finding("credentials", True, text)


def _examine_memory(settings: Settings) -> Finding:
    memory = psutil.virtual_memory()
    fits = settings.memory_budget // PER_CLIENT
    text = (
        f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB available; "
        f"the budget of {settings.memory_budget / 1e9:.1f} GB holds about {fits} idle clients"
    )
    return Finding("memory", memory.available > 4 * PER_CLIENT, text)


def _examine_sleep(host: HostMemory, settings: Settings) -> Finding:
    """Whether an idle client that is put to sleep gives its memory back. Everything works where it does not."""
    if not sys.platform.startswith("linux"):
        text = "idle clients are stopped, and keep their memory: only Linux takes it back"
    elif not host.swap_total:
        text = "idle clients are stopped, and keep their memory: this host has no swap. About 150 MB for each would do"
    else:
        kinds = [
            *(
                [f"{host.swap_compressed / 1e9:.1f} GB of it compressed in memory, zram"]
                if host.swap_compressed
                else []
            ),
            *(["compressed in memory first, zswap"] if host.has_zswap else []),
        ]
        swap = f"{host.swap_free / 1e9:.1f} of {host.swap_total / 1e9:.1f} GB of swap free"
        swap += f" ({'; '.join(kinds)})" if kinds else ""
        text = f"the memory of idle clients goes to swap; {swap}"
        if not host.hands_back:
            text = (
                f"idle clients are stopped, and keep their memory until the kernel needs it; {swap}. It goes there at "
                "once with CAP_SYS_NICE (systemd: AmbientCapabilities=CAP_SYS_NICE), or with Delegate=yes where the "
                "controller of memory is on cgroup v2"
            )
    ttl = LONG_IDLE if host.hands_back else SHORT_IDLE
    kept = spell_duration(min(ttl, find_agent_ttl(settings, ttl)))
    many = f"as many as the host may have ({settings.max_agents})" if host.hands_back else "as many as it runs turns"
    text += f". Where no template says otherwise, they are kept for {kept}, and a service keeps {many}"
    return Finding("idle clients", True, text)


def _examine_state(settings: Settings) -> Finding:
    """Checks the state directory, and refuses what `ask` and the dashboard refuse, in the same words."""
    base = settings.state_dir
    folder = settings.run_dir
    try:
        if not folder.exists():
            nearest = next(path for path in (folder, *folder.parents) if path.exists())
            if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
                return Finding("state", False, f"{folder} cannot be created in {nearest}: choose another with --state")
            return Finding("state", True, f"{folder}, which is not there yet")
        if base != folder:
            claim(base)
        examine_journal(folder, Clock())
        free = shutil.disk_usage(folder).free
    except BullpenError as error:
        return Finding("state", False, str(error))
    except OSError as error:
        return Finding("state", False, explain_os_error(folder, error))
    held = measure_disk(folder, CliStore(folder, folder), ())
    text = (
        f"{folder}: {held.total / 1e6:.1f} MB (journal {held.journal / 1e6:.1f} MB, workspaces "
        f"{held.workspaces / 1e6:.1f} MB), {free / 1e9:.1f} GB free on its disk"
    )
    if free < _LEAST_FREE:
        return Finding("state", False, f"{text}: make room, or choose another with --state")
    if is_replaceable(base):
        text += f"; every user of this machine may rename it: take that away with chmod +t {base.resolve().parent}"
    return Finding("state", True, text)


def _examine_providers(settings: Settings) -> Iterator[Finding]:
    """Checks the providers of the settings. Of a reference it checks only that its target is there."""
    for provider in providers_of(settings):
        if provider.name in settings.providers:
            own = provider.settings
            where = own.api_key or own.auth_token or "credentials of this host"
            told = "not looked at in rehearsal" if settings.rehearsal else where
            text = provider.mistake or ", ".join(filter(None, (bare_url(own.base_url), told)))
            yield Finding("provider", not provider.mistake, f"{provider.name}: {text}")


def _examine_templates(settings: Settings) -> Iterator[Finding]:
    try:
        loaded = load_for(settings)
    except ConfigurationError as error:
        mistakes = error.mistakes
    else:
        mistakes = list(loaded.left_out)
        yield Finding("templates", True, f"{len(loaded.templates)} in {settings.templates_dir}")
        for template in loaded.templates:
            for _, sentence in find_host_notes(template, os.environ):
                yield Finding("templates", False, f"{show_name(template.name)}: {sentence}")
        for sentence in find_missing_programs((*hooks_for(settings, loaded.templates), *schedules_for(settings))):
            yield Finding("hooks", False, sentence)
    for mistake in mistakes:
        yield Finding("templates", False, mistake)


def _examine_terminal() -> Finding:
    if not sys.stdout.isatty():
        return Finding("terminal", True, "not a terminal: the dashboard needs one, the other commands do not")
    size = os.get_terminal_size()
    name = os.environ.get("TERM", "unknown")
    is_good = size.columns >= 80 and size.lines >= 24 and name != "dumb"
    advice = "" if is_good else "; the dashboard wants 80×24 or more"
    return Finding("terminal", is_good, f"{name}, {size.columns}×{size.lines}{advice}")


def _examine_sdk() -> Finding:
    try:
        return Finding("agent sdk", True, importlib.metadata.version("claude-agent-sdk"))
    except importlib.metadata.PackageNotFoundError:
        return Finding("agent sdk", False, "claude-agent-sdk is not installed: run `pip install .` again")


def _examine_cli() -> Finding:
    bundled = find_bundled_cli()
    if bundled is None:
        return Finding(
            "claude cli", False, "the SDK carries no CLI for this platform: install Claude Code and put it on PATH"
        )
    try:
        answer = subprocess.run(
            [bundled, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=30,
            check=True,
            cwd="/",  # the current directory may have been deleted
        )
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("claude cli", False, f"the bundled CLI does not run: {error}")
    return Finding("claude cli", True, f"{answer.stdout.strip()} (bundled)")
