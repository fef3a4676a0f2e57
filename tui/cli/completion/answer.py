"""What a shell is told when the tab key is pressed. It is asked at each press, so that it imports next to nothing: a
complete `bullpen` takes ten times as long to start."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

COMMAND = "complete-words"
"""The first argument by which a script asks: not a command for people."""
TREE = Path(__file__).with_name("commands.json")
"""Made by scripts/make_completion.py."""
SHELLS = ("bash", "zsh", "fish")
BREAKS = "@:="
"""Characters at which bash begins a new word, and no other shell does."""
Suggestion = tuple[str, str]
"""(what may stand there, what that is)."""


def main(arguments: Sequence[str]) -> None:
    """`bash LINE WORD`: the line up to the cursor, and what bash takes for its last word; or `words WORD...`, the last
    of which is being written. Prints one suggestion a line, or `:files` or `:directories`."""
    if arguments[:1] == ["bash"]:
        line, last = (*arguments[1:], "", "")[:2]
        raw = _last_word(line)
        suggestions = suggest([*_split(line.removesuffix(raw))[1:], _unquote(raw)])
        lines = [_for_bash(value, raw, last) if value[:1] != ":" else value for value, _ in suggestions]
    else:
        lines = ["\t".join(filter(None, one)) for one in suggest(arguments[1:])]
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def suggest(words: Sequence[str]) -> list[Suggestion]:
    """Suggestions for the last of these words, which may be incomplete."""
    tree = json.loads(TREE.read_text("utf-8"))
    *before, current = words or [""]
    name, places, awaited = "", 0, None
    given: dict[str, str] = {}
    for word in before:
        if awaited is not None:
            given[awaited] = word
            awaited = None
        elif word.startswith("-"):
            takes = _option(tree, name, word)
            awaited = word if takes is not None else None
            given.setdefault(word, "")
        elif (below := f"{name} {word}".strip()) in tree and word in tree[name]["commands"]:
            name = below
        else:
            places += 1
    if awaited is not None:
        kind = _option(tree, name, awaited) or ""
    elif current.startswith("-"):
        options = {**tree[name]["options"]}
        return [(flag, says) for flag, (_, says) in options.items() if flag.startswith(current)]
    elif tree[name]["commands"]:
        named = [(each, tree[f"{name} {each}".strip()]["says"]) for each in tree[name]["commands"]]
        return [one for one in named if one[0].startswith(current)]
    else:
        kinds = tree[name]["arguments"]
        kind = kinds[places] if places < len(kinds) else kinds[-1] if kinds[-1:] == ["answer"] else ""
    return _of_kind(kind, current, given)


def _option(tree: dict[str, Any], name: str, flag: str) -> str | None:
    """The kind of value that an option takes; None when it takes none, or there is no such option."""
    for place in (name, ""):
        if flag in tree[place]["options"]:
            kind: str | None = tree[place]["options"][flag][0]
            return kind
    return None


def _of_kind(kind: str, current: str, given: dict[str, str]) -> list[Suggestion]:
    match kind:
        case "":
            return []
        case "directory":
            return [(":directories", "")]
        case "file":
            return [(":files", "")]
        case "shell":
            found: Iterable[Suggestion] = [(shell, "") for shell in SHELLS]
        case "answer":
            found = [("allow", "once"), ("deny", "with --reason, why")]
        case _:
            from tui.cli.completion.names import find_names

            found = find_names(kind.split(), current, given)
    return [(name, says) for name, says in found if name.startswith(current) and name.isprintable()]


# What bash makes of a line


def _last_word(line: str) -> str:
    """The end of the line that is one word for the shell, as it was typed."""
    start, quote, is_escaped = 0, "", False
    for at, character in enumerate(line):
        if is_escaped:
            is_escaped = False
        elif character == "\\" and quote != "'":
            is_escaped = True
        elif quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character.isspace():
            start = at + 1
    return line[start:]


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


def _unquote(raw: str) -> str:
    for ending in ("", "'", '"'):
        try:
            return "".join(shlex.split(raw + ending))
        except ValueError:
            continue
    return raw


def _for_bash(value: str, raw: str, last: str) -> str:
    """The part that bash replaces, as it has to be typed."""
    if raw[:1] in ("'", '"'):
        return value
    quoted = "".join(f"\\{one}" if not (one.isalnum() or one in "-_./@:+=,%") else one for one in value)
    cut = len(raw) - len("" if last in BREAKS else last)
    return quoted[cut:] if raw.endswith(last) else quoted
