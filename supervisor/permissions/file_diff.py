"""What a writing tool would make of the file that is there now: a unified diff, made in bounded time.

Blocking: call it in a thread.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from difflib import SequenceMatcher
from typing import Any, NamedTuple

LARGEST_FILE = 2_000_000
"""Bytes of a file that is still read to be compared."""
MOST_COMPARED = 500_000
"""Pairs of lines, between the common beginning and the common end of two texts, up to which the lines in between are
matched one by one; that takes well under a second at worst. Beyond it they are shown as replaced altogether."""
CONTEXT = 3
"""Unchanged lines shown around a change."""
WRITERS = ("Write", "Edit", "MultiEdit", "NotebookEdit")

Signature = tuple[int, ...]
"""Tells whether a file was written: inode, size, time of change. Empty when there is none."""


class FileComparison(NamedTuple):
    lines: tuple[str, ...] = ()
    """Of the diff, as they are: each begins with `@`, a space, `-` or `+`."""
    note: str = ""
    """What the call does to the file, or why no diff can be shown."""


def compare(tool: str, arguments: Mapping[str, Any], path: str) -> FileComparison:
    """The call against the present file. `path` is absolute."""
    try:
        before = read_text(path)
    except FileNotFoundError:
        before = None
    except (OSError, ValueError) as error:
        return FileComparison(note=f"No diff: the present file cannot be read ({_reason(error)})")
    try:
        after = _apply(tool, arguments, before)
    except ValueError as error:
        return FileComparison(note=f"No diff: {error}")
    if before is None:
        return FileComparison(note="A new file: there is none at this path")
    if before == after:
        return FileComparison(note="The present file has this content already")
    return FileComparison(tuple(diff(before, after)), "It changes a file that is there now")


def read_text(path: str) -> str:
    """Raises `OSError` or `ValueError`, whose words say why it is not read. Never waits for a pipe or a device."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no plain file")
        if status.st_size > LARGEST_FILE:
            raise ValueError(f"it has {status.st_size:,} bytes, too many to compare")
        content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise ValueError("it grows while it is read")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise ValueError(f"it is no UTF-8 text, {len(content):,} bytes") from None


def sign(path: str) -> Signature:
    with suppress(OSError, ValueError):
        status = os.stat(path)
        return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    return ()


def diff(before: str, after: str) -> list[str]:
    old, new = _lines(before), _lines(after)
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    lines = []
    matcher: SequenceMatcher[str] = SequenceMatcher(None, [], [])
    matcher.opcodes = _match(old, new, head, tail)  # type: ignore[attr-defined]
    for group in matcher.get_grouped_opcodes(CONTEXT):
        (_, from_old, _, from_new, _), (_, _, to_old, _, to_new) = group[0], group[-1]
        lines.append(f"@@ -{from_old + 1},{to_old - from_old} +{from_new + 1},{to_new - from_new} @@")
        for kind, old_from, old_to, new_from, new_to in group:
            if kind == "equal":
                lines += [f" {line}" for line in old[old_from:old_to]]
                continue
            lines += [f"-{line}" for line in old[old_from:old_to]]
            lines += [f"+{line}" for line in new[new_from:new_to]]
    return lines


def _match(old: list[str], new: list[str], head: int, tail: int) -> list[tuple[str, int, int, int, int]]:
    """Opcodes as `difflib` has them."""
    old_end, new_end = len(old) - tail, len(new) - tail
    found: list[tuple[str, int, int, int, int]] = [("equal", 0, head, 0, head)] if head else []
    if (old_end - head) * (new_end - head) > MOST_COMPARED:
        found.append(("replace", head, old_end, head, new_end))
    else:
        matcher = SequenceMatcher(None, old[head:old_end], new[head:new_end], autojunk=False)
        found += [(kind, a + head, b + head, c + head, d + head) for kind, a, b, c, d in matcher.get_opcodes()]
    if tail:
        found.append(("equal", old_end, len(old), new_end, len(new)))
    return found


def _lines(text: str) -> list[str]:
    """Broken at newlines alone: other characters that break lines stay in sight."""
    if not text:
        return []
    lines = text.split("\n")
    if lines[-1]:
        lines[-1] += "⟨no newline at the end⟩"
    else:
        lines.pop()
    return lines


def _apply(tool: str, arguments: Mapping[str, Any], before: str | None) -> str:
    """The text after the call. Raises `ValueError` with words when that is not known."""
    match tool:
        case "Write":
            return _text(arguments, "content")
        case "Edit":
            return _edit(before, arguments)
        case "MultiEdit":
            edits = arguments.get("edits")
            if not isinstance(edits, list) or not all(isinstance(one, Mapping) for one in edits):
                raise ValueError("the call has no list of edits")
            for edit in edits:
                before = _edit(before, edit)
            return before or ""
        case _:
            return _edit_notebook(before, arguments)


def _edit(before: str | None, edit: Mapping[str, Any]) -> str:
    old, new = _text(edit, "old_string"), _text(edit, "new_string")
    if not old:
        if before:
            raise ValueError("it replaces nothing (old_string is empty), and the file has content")
        return new
    if before is None:
        raise ValueError("there is no file at this path")
    count = before.count(old)
    if not count:
        raise ValueError("old_string does not occur in the present file, letter by letter")
    if count > 1 and edit.get("replace_all") is not True:
        raise ValueError(f"old_string occurs {count:,} times in the present file, and replace_all is not set")
    return before.replace(old, new)


def _edit_notebook(before: str | None, arguments: Mapping[str, Any]) -> str:
    """The notebook's file with one cell's source replaced, laid out as notebooks are written."""
    if before is None:
        raise ValueError("there is no notebook at this path")
    source, mode = arguments.get("new_source", ""), arguments.get("edit_mode") or "replace"
    try:
        notebook = json.loads(before)
        cells = notebook["cells"]
        place = next(index for index, cell in enumerate(cells) if cell.get("id") == arguments.get("cell_id"))
        if mode != "replace" or not isinstance(source, str):
            raise ValueError(f"the cell is to be changed by {mode}")
        cells[place]["source"] = source.splitlines(keepends=True)
    except StopIteration:
        raise ValueError("the present notebook has no cell of that id") from None
    except (KeyError, TypeError, AttributeError, RecursionError, json.JSONDecodeError):
        raise ValueError("the present file is no notebook that can be read") from None
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _text(arguments: Mapping[str, Any], name: str) -> str:
    value = arguments.get(name)
    if not isinstance(value, str):
        raise ValueError(f"the call has no text {name}")
    return value


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
