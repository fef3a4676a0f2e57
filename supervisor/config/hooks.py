"""The `hooks` of a template: Claude Code's own, run by its CLI for every client of the template.

A guard that is written down and does not run is worse than none. So what Claude Code would not take is a mistake, and a
guard whose command cannot be started refuses the call.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from supervisor.config.validation import Location, nearest
from supervisor.text.values import in_words

_EVENTS = """
PreToolUse PostToolUse PostToolUseFailure PermissionRequest PermissionDenied Notification UserPromptSubmit
SessionStart SessionEnd Stop StopFailure SubagentStart SubagentStop PreCompact PostCompact
"""
EVENTS = tuple(_EVENTS.split())
"""Of Claude Code (CLI 2.1.332)."""
GUARD = "PreToolUse"
"""The event whose hooks can refuse a call."""
KINDS = {"command": "command", "prompt": "prompt", "agent": "prompt", "http": "url"}
"""Kinds of hooks, and the key that says what is done."""
MOST_VALUES = 2_000
"""Values of all hooks together, with what aliases stand for."""

_GUARDED = """\
export CLAUDE_PROJECT_DIR={folder}
cd "$CLAUDE_PROJECT_DIR" || exit 2
(
{command}
)
code=$?
case $code in
126 | 127) echo "the guard of this tool could not be started (exit code $code): the call is refused" >&2; exit 2 ;;
esac
exit $code
"""
_PLAIN = """\
export CLAUDE_PROJECT_DIR={folder}
cd "$CLAUDE_PROJECT_DIR" || exit 1
{command}
"""


def find_mistakes(hooks: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    """(the way below `hooks`, the sentence that follows it) for what the CLI would not take."""
    if _count(hooks, {}) > MOST_VALUES and any(event in EVENTS for event in hooks):
        yield (), f"hold more than {MOST_VALUES:,} values, with what their aliases stand for"
        return
    for event, entries in hooks.items():
        if event not in EVENTS:
            if near := nearest(str(event), dict.fromkeys(EVENTS), cutoff=0.8):
                yield (str(event),), f"is no event of Claude Code; did you mean {near}?"
            continue
        if entries is None:
            continue
        if not isinstance(entries, list):
            yield (event,), f"must be a list, not {in_words(entries)}"
            continue
        for number, entry in enumerate(entries):
            yield from _mistakes_of_entry((event, number), entry)


def _mistakes_of_entry(way: Location, entry: object) -> Iterator[tuple[Location, str]]:
    if not isinstance(entry, dict):
        yield way, f"must be a mapping with hooks, not {in_words(entry)}"
        return
    if not isinstance(entry.get("matcher", ""), str):
        yield (*way, "matcher"), f"must be text, not {in_words(entry['matcher'])}"
    hooks = entry.get("hooks")
    if not isinstance(hooks, list):
        yield way, f"needs hooks, a list, and has {in_words(hooks)}"
        return
    for number, hook in enumerate(hooks):
        here = (*way, "hooks", number)
        kind = hook.get("type") if isinstance(hook, dict) else None
        if not isinstance(hook, dict) or kind not in KINDS:
            yield here, f"must have a type: {', '.join(KINDS)}"
        elif not (isinstance(text := hook.get(KINDS[kind]), str) and text.strip()):
            yield here, f"needs {KINDS[kind]}, a text"
        elif isinstance(limit := hook.get("timeout", 1), bool) or not isinstance(limit, int | float) or limit <= 0:
            yield (*here, "timeout"), f"must be a number of seconds, not {in_words(limit)}"


def unknown_events(hooks: Mapping[str, Any]) -> list[str]:
    return [str(event) for event in hooks if event not in EVENTS]


def compile_hooks(hooks: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The hooks in the form of the CLI's settings. Commands run in `folder`, the project of the template: the directory
    of a session has no scripts."""
    return {
        event: [{**entry, "hooks": [_placed(hook, event, folder) for hook in entry["hooks"]]} for entry in entries]
        for event, entries in hooks.items()
        if event in EVENTS and entries
    }


def _placed(hook: Mapping[str, Any], event: str, folder: Path) -> dict[str, Any]:
    if hook.get("type") != "command":
        return dict(hook)
    frame = _GUARDED if event == GUARD else _PLAIN
    return {**hook, "command": frame.format(folder=shlex.quote(str(folder)), command=hook["command"])}


def project_of(template_path: Path) -> Path:
    """The folder with the `.claude` that the template lies in, else the template's own."""
    path = template_path.absolute()
    return next((folder.parent for folder in path.parents if folder.name == ".claude"), path.parent)


def _count(value: object, counted: dict[int, int]) -> int:
    """Values, every alias written out; more than can be when one holds itself."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in counted:
        counted[id(value)] = MOST_VALUES + 1
        inside = value.values() if isinstance(value, dict) else value
        counted[id(value)] = min(MOST_VALUES + 1, 1 + sum(_count(one, counted) for one in inside))
    return counted[id(value)]
