"""Everything a tool call would do, as the text on which a human decides: whole, and with nothing hidden.

What is decided on is never altered: characters that cannot be seen become visible escapes, long runs of blanks become
their number, and a warning says so. A call too large to be shown is denied without a question.
"""

from __future__ import annotations

import json
import os
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from textwrap import indent
from typing import Any, NamedTuple

from supervisor import bounds
from supervisor.permissions.file_diff import WRITERS, FileComparison, Signature, compare, sign
from supervisor.permissions.requests import ToolRequest
from supervisor.permissions.rules import COMMAND_TOOL, Rule, is_covered, is_vague, rule_for
from supervisor.permissions.targets import PATHS, find_place, find_target, is_below
from supervisor.text.cleaning import find_unseen, name_unseen
from supervisor.text.visible import pushes_text_away, show

MOST_SHOWN = 1_000_000
"""Characters of one call that can be shown; a larger call is denied."""
_MOST_LAID_OUT = 4 * MOST_SHOWN
"""The same with escapes and indentation."""
TOO_DEEP = f"(more than {bounds.MOST_LEVELS} levels of lists and mappings in one another: not shown)"
"""In the place of arguments that are only watched: a call with such is never put to a human."""
PLAN_TOOL = "ExitPlanMode"

_PROSE = ("content", "old_string", "new_string", "new_source", "edits", "prompt", "plan", "description", "questions")
"""Arguments that are read by people: letters of any script are at home in them."""


class Particulars(NamedTuple):
    """The texts about one request that are shown, and the rule that "always" would add."""

    detail: str = ""
    """The arguments in full, one below the other."""
    diff: str = ""
    """A unified diff against the present file; empty when there is none to be shown."""
    notes: tuple[str, ...] = ()
    """What else there is to know, a sentence each."""
    warnings: tuple[str, ...] = ()
    """Why to read it with care, a sentence each."""
    rule: Rule | None = None
    place: str = ""
    """Where the path of a file tool led when it was looked at; empty for others."""
    target: str = ""
    """The file that it would write; empty for other tools."""
    signature: Signature = ()
    """Of that file, as it is now."""
    is_covered: bool = False
    """A remembered approval covers it; then nothing else is filled in."""
    too_large: int = 0
    """Its size in characters when it is too large to be shown."""


def examine(request: ToolRequest, workspace: Path | None, allowed: Collection[str]) -> Particulars:
    """Blocking: follows links, and reads the file that would be written."""
    target = find_target(request, workspace) if workspace is not None else None
    if is_covered(request, workspace, allowed):
        return Particulars(is_covered=True, place=target or "")
    size = sum(len(text) for text in _texts(request.arguments))
    if size > MOST_SHOWN:
        return Particulars(too_large=size)
    if len(detail := lay_out(request.arguments)) > _MOST_LAID_OUT:
        return Particulars(too_large=len(detail))
    if target is None:
        return Particulars(detail, "", tuple(_notes(request)), tuple(_warnings(request)), rule_for(request, workspace))
    is_written = request.tool in WRITERS
    comparison = compare(request.tool, request.arguments, target) if is_written else FileComparison()
    notes = [comparison.note] if comparison.note else []
    shown = ""
    if sum(map(len, comparison.lines)) <= MOST_SHOWN:
        shown = "\n".join(f"{line[:1]}{show(line[1:])}" for line in comparison.lines)
    if len(shown) > MOST_SHOWN or (comparison.lines and not shown):
        shown, notes = "", ["No diff: it would be too long to be shown; the call itself stands here whole"]
    return Particulars(
        detail,
        shown,
        (*_notes(request), *notes),
        (*_warnings(request, target, workspace), *_unseen_in_file(comparison)),
        rule_for(request, workspace),
        target,
        target if is_written else "",
        sign(target) if is_written else (),
    )


def describe(request: ToolRequest) -> Particulars:
    """What can be shown without a look at the disk: for a file system that does not answer. No "always" is offered."""
    detail = lay_out(request.arguments)
    if max(len(detail) // 4, sum(map(len, _texts(request.arguments)))) > MOST_SHOWN:
        return Particulars(too_large=len(detail))
    note = "No diff: the file system does not answer"
    return Particulars(detail, "", (*_notes(request), note), tuple(_warnings(request)))


def lay_out(arguments: Mapping[str, Any]) -> str:
    """The arguments whole, one below the other, texts as they read. A text of several lines is indented, so that no
    line of it looks like another argument."""
    if bounds.is_too_deep(arguments):
        return TOO_DEEP
    parts = []
    for name, value in arguments.items():
        if not isinstance(value, str):
            value = json.dumps(value, ensure_ascii=False, indent=2, default=str)
        label = show(str(name)).replace("\n", name_unseen("\n"))
        value = show(value)
        parts.append(f"{label}:\n{indent(value, '  ')}" if "\n" in value else f"{label}: {value}")
    return "\n".join(parts)


def _texts(value: Any) -> Iterator[str]:
    """Every text in it, names of arguments included."""
    match value:
        case str():
            yield value
        case Mapping():
            for name, each in value.items():
                yield str(name)
                yield from _texts(each)
        case list() | tuple():
            for each in value:
                yield from _texts(each)
        case _:
            yield str(value)


def _notes(request: ToolRequest) -> Iterator[str]:
    if request.tool == PLAN_TOOL:
        yield (
            "Approving ends plan mode: the permission mode becomes default, and the agent begins to act. The plan "
            "approves no tool: what needs a permission is asked about one by one"
        )
    if request.reason:
        yield f"The CLI asks because: {show(request.reason)}"


def _warnings(request: ToolRequest, target: str = "", workspace: Path | None = None) -> Iterator[str]:
    arguments = request.arguments
    texts = [request.tool, *_texts(arguments)]
    if unseen := Counter(character for text in texts for character in find_unseen(text)):
        yield f"Hidden characters, shown as escapes: {_list_unseen(unseen)}"
    if any(map(pushes_text_away, texts)):
        yield "Long runs of blanks or empty lines, shown as their number"
    if foreign := list(dict.fromkeys(_look_alikes(request))):
        named = ", ".join(f"{one} U+{ord(one):04X} {unicodedata.name(one, 'unnamed')}" for one in foreign[:5])
        yield f"Letters that are not the ASCII they may look like: {named}{', …' if len(foreign) > 5 else ''}"
    if request.tool == COMMAND_TOOL and arguments.get("dangerouslyDisableSandbox"):
        yield "The command asks to run outside the sandbox"
    if request.tool == PLAN_TOOL and arguments.get("allowedPrompts"):
        yield "The plan names commands that the agent wants to run without being asked: see allowedPrompts"
    if target and workspace is not None:
        yield from _warn_of_place(request, target, workspace)


def _warn_of_place(request: ToolRequest, target: str, workspace: Path) -> Iterator[str]:
    """A warning of where the path leads, when that is not where it seems to lead."""
    if is_vague(request):
        yield "The path is relative: it counts from where the agent's shell is, which may not be its workspace"
        return
    own = find_place(workspace)
    named = os.path.normpath(workspace / request.arguments[PATHS[request.tool]])
    seems = os.path.join(own, os.path.relpath(named, workspace)) if is_below(named, str(workspace)) else named
    if os.path.normpath(seems) != target:
        yield f"The path leads to {show(target)}"
    if not any(is_below(target, place) for place in (own, *map(find_place, request.folders))):
        yield "It is outside this session's workspace"


def _unseen_in_file(comparison: FileComparison) -> Iterator[str]:
    """Of lines that are taken away: what is added stands in the call itself."""
    gone = Counter(
        character for line in comparison.lines if line.startswith(("-", " ")) for character in find_unseen(line)
    )
    if gone:
        yield f"The present file has hidden characters, shown as escapes: {_list_unseen(gone)}"


def _list_unseen(found: Counter[str]) -> str:
    named = [
        f"{number:,} × {name_unseen(one)}{f' {name}' if (name := unicodedata.name(one, '')) else ''}"
        for one, number in found.most_common(5)
    ]
    return ", ".join(named) + (f", and {len(found) - 5} more kinds" if len(found) > 5 else "")


def _look_alikes(request: ToolRequest) -> Iterator[str]:
    """Letters and digits that are not Latin, in what a machine reads: commands, paths, addresses, names."""
    read_by_machines = {name: value for name, value in request.arguments.items() if name not in _PROSE}
    for text in (request.tool, *_texts(read_by_machines)):
        if text.isascii():
            continue
        for one in text:
            if not one.isascii() and one.isalnum() and _may_deceive(one):
                yield one


def _may_deceive(letter: str) -> bool:
    """Another script, or a shape of an ASCII letter such as a full-width one."""
    name = unicodedata.name(letter, "")
    return not name.startswith("LATIN") or unicodedata.normalize("NFKC", letter).isascii()
