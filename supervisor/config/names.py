"""Names of instances: any that Claude Code takes, and the plain word that stands for each in paths and variables.

`Report Writer` is what files, commands, the screen and the journal say. Its directory is `report-writer--1f0e4a9b`, its
variables begin with `BULLPEN_REPORT_WRITER__1F0E4A9B_`.
"""

from __future__ import annotations

import hashlib
import re

from supervisor.text.cleaning import find_unseen, name_unseen

NAME_LIMIT = 256
"""Characters of a name in a file."""
_PLAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", re.ASCII)
_PLAIN_LIMIT = 64
_HASHED = re.compile(r".*--[0-9a-f]{8}", re.ASCII)
_JOINERS = "\u200c\u200d\ufe0f"
"""Without a shape of their own, and part of ordinary words and emoji."""
_WORD_LIMIT = 40
"""Characters of a name's letters in its slug."""


def find_flaw(name: str) -> str:
    """Why it cannot name an instance, as the rest of a sentence; empty when it can."""
    if not name.strip():
        return "must not be empty"
    if len(name) > NAME_LIMIT:
        return f"has {len(name):,} characters; at most {NAME_LIMIT} are allowed"
    if name.startswith("-"):
        return "must not begin with -, as an option of a command does"
    if hidden := [sign for sign in (*find_unseen(name), *re.findall(r"[\n\t]", name)) if sign not in _JOINERS]:
        return f"must be characters that can be seen, and holds {name_unseen(hidden[0])}"
    return ""


def slug(name: str) -> str:
    """Lowercase letters, digits and hyphens, at most 64 of them; different for different names.

    A name that is already so is its own slug. Of any other one the letters are kept for people, and eight digits of a
    hash tell it from all others.
    """
    if len(name) <= _PLAIN_LIMIT and _PLAIN.fullmatch(name) and not _HASHED.fullmatch(name):
        return name
    word = re.sub(r"[^a-z0-9]+", "-", name.lower(), flags=re.ASCII).strip("-")[:_WORD_LIMIT].strip("-")
    return f"{word or 'agent'}--{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:8]}"
