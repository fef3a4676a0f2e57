"""The wall against untrusted text: what a model, a tool or a user wrote cannot drive a terminal (R5).

`clean` is for what is read: every text from outside passes it once, where it enters the engine. What comes out holds
no escape sequence, no control character but newline and tab, nothing that turns the reading direction, nothing
invisible, no lone surrogate and no pile of marks. Escape sequences go as a whole, their payload with them, so that no
debris is left to read. Zero-width joiners go too, although emoji families then fall apart into their members: an
invisible character is an invisible difference between two texts, and terminals do not agree on the width of what is
joined.

`reveal` is for what is decided on: nothing goes, and what cannot be seen is written as an escape.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from supervisor.text.characters import (
    BLANKS,
    FORBIDDEN,
    MARK_BLOCKS,
    NARROW_EMOJI,
    SELECTORS,
    SURROGATES,
    TONES,
    is_mark,
)

REPLACEMENT = "\ufffd"
"""Stands where a lone surrogate was."""

MARK_LIMIT = 8
"""Marks on one character that are kept. Written languages need up to six. A pile of thousands would fill one cell and
cost as much as thousands of characters."""

_PAYLOAD_LIMIT = 4096
"""Characters of a control string (a title, a clipboard, a link) that are taken away with it. A longer one, one that
holds a line break and one that never ends lose only their introducer, and so cannot hide the text behind them."""
_PARAMETER_LIMIT = 64
"""Characters of parameters in one control sequence; real ones have a dozen."""

_CONTROL_STRING = f"(?:\x1b[\\]PX^_]|[\x90\x98\x9d-\x9f])[^\x00-\x1f\x7f-\x9f]{{0,{_PAYLOAD_LIMIT}}}"
_CONTROL_SEQUENCE = f"(?:\x1b\\[|\x9b)[0-?]{{0,{_PARAMETER_LIMIT}}}[ -/]{{0,4}}"
_SUSPECT = re.compile(f"[{FORBIDDEN}{SELECTORS}]")
_SURROGATE = re.compile(f"[{SURROGATES}]")
_LINE_BREAK = re.compile("\r\n?|[\u2028\u2029]")
_UNWANTED = re.compile(
    f"{_CONTROL_STRING}(?:\x07|\x1b\\\\|\x9c)|{_CONTROL_SEQUENCE}[@-~]|\x1b[ -/]{{0,4}}[0-~]|[{FORBIDDEN}]"
)
_UNFINISHED = re.compile(f"(?:{_CONTROL_STRING}\x1b?|{_CONTROL_SEQUENCE}|\x1b[ -/]{{0,4}}|\r)\\Z")
"""The end of a text that may go on as something else than it looks now."""

_LOOSE_SELECTOR = re.compile(f"[\ufe00-\ufe0e]|(?<![{NARROW_EMOJI}])\ufe0f")
_PILE = re.compile(f"[{MARK_BLOCKS}]{{{MARK_LIMIT + 1},}}")
_EXCESS = re.compile(f"(?<=m{{{MARK_LIMIT}}})m+")
_CONTEXT = MARK_LIMIT + 1
"""Characters before a text on which its cleaning depends: a base and its marks."""

_UNSEEN = re.compile(f"[\r{FORBIDDEN}{SELECTORS}{TONES}{BLANKS}]")
"""What a reader cannot see, or takes for something else."""

_NAMES: Final = {"\x1b": "ESC", "\r": "CR", "\n": "LF", "\t": "TAB", "\0": "NUL", "\x07": "BEL"}
_ESCAPE_ALIKE = re.compile("⟨(?=(?:U\\+[0-9A-F]{4,6}|[A-Z]{2,3})⟩)")
"""Plain text that looks like one of our own escapes."""


def clean(text: str) -> str:
    """The text without anything that acts on a terminal or hides from its reader. Line breaks become newlines."""
    if text.isascii() and text.isprintable():
        return text
    if _SUSPECT.search(text):
        text = _UNWANTED.sub("", _LINE_BREAK.sub("\n", join_surrogates(text)))
        text = _LOOSE_SELECTOR.sub("", text)
    return flatten_marks(text)


def flatten_marks(text: str) -> str:
    """The text with at most `MARK_LIMIT` marks on any character."""
    return text if text.isascii() else _PILE.sub(lambda found: _without_excess(found[0]), text)


class _Kinds(dict[int, str]):
    """Code point → `m` for a mark, `x` for anything else; filled as they are met."""

    def __missing__(self, code: int) -> str:
        kind = self[code] = "m" if is_mark(chr(code)) else "x"
        return kind


_KINDS = _Kinds()


def _without_excess(run: str) -> str:
    kinds = run.translate(_KINDS)
    kept, at = [], 0
    for excess in _EXCESS.finditer(kinds):
        kept.append(run[at : excess.start()])
        at = excess.end()
    return "".join([*kept, run[at:]])


def reveal(text: str) -> str:
    """The text with a visible escape for each character that acts on a terminal, hides from its reader or looks like a
    plain space: `⟨ESC⟩`, `⟨CR⟩`, `⟨U+202E⟩`. Newlines and tabs stay. Nothing is taken away, so what is decided on can
    be seen whole; a text that was revealed before stays as it is."""
    if text.isascii() and text.isprintable():
        return text
    text = _UNSEEN.sub(lambda found: name_unseen(found[0]), text)
    return text if text.isascii() else _PILE.sub(lambda found: _excess_revealed(found[0]), text)


def _excess_revealed(run: str) -> str:
    kinds = run.translate(_KINDS)
    shown, at = [], 0
    for excess in _EXCESS.finditer(kinds):
        shown.append(run[at : excess.start()])
        shown.extend(name_unseen(mark) for mark in run[excess.start() : excess.end()])
        at = excess.end()
    return "".join([*shown, run[at:]])


def find_unseen(text: str) -> list[str]:
    """Each character of the text that `reveal` would replace, in order, repetitions included."""
    if text.isascii() and text.isprintable():
        return []
    found = [(match.start(), match[0]) for match in _UNSEEN.finditer(text)]
    # What is shown as an escape begins no pile, and ends one.
    for run in _PILE.finditer(masked := _UNSEEN.sub("x", text)):
        for excess in _EXCESS.finditer(run[0].translate(_KINDS)):
            found += [(run.start() + at, masked[run.start() + at]) for at in range(excess.start(), excess.end())]
    return [character for _, character in sorted(set(found))]


@lru_cache(maxsize=4096)
def name_unseen(character: str) -> str:
    """`⟨ESC⟩` or `⟨U+202E⟩`: what stands for the character where it is shown."""
    return f"⟨{_NAMES.get(character) or f'U+{ord(character):04X}'}⟩"


def reveal_line(text: str, limit: int | None = None) -> str:
    """`reveal` on one line: newlines and tabs are escapes too. Of more than `limit` characters the rest is counted."""
    rest = 0 if limit is None else len(text) - limit
    line = reveal(text if rest <= 0 else text[:limit]).replace("\n", "⟨LF⟩").replace("\t", "⟨TAB⟩")
    return line if rest <= 0 else f"{line}… ({rest:,} more characters)"


def show_name(name: object) -> str:
    """A file's name, a key or a value inside a sentence: one line, and two different names always look different, also
    where a name spells one of our escapes out."""
    return reveal_line(_ESCAPE_ALIKE.sub("⟨U+27E8⟩", str(name)), 500)


def join_surrogates(text: str) -> str:
    """Two halves of a character become that character; a half alone becomes U+FFFD, as UTF-8 can hold it."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class StreamCleaner:
    """Cleans a text that arrives in fragments, cut anywhere: together they give what `clean` gives for the whole.

    Holds back at most the unfinished escape sequence, line break or surrogate pair at the end of a fragment.
    """

    def __init__(self) -> None:
        self._held = ""
        self._context = ""
        """The end of what was given out: what comes may be one mark too many on it."""

    def feed(self, fragment: str) -> str:
        """The clean text that is certain by now."""
        text = self._held + fragment
        if text.isascii() and text.isprintable():
            self._held = ""
            return self._told(text)
        first_half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        text = join_surrogates(text.removesuffix(first_half))
        unfinished = _UNFINISHED.search(text)
        end = unfinished.start() if unfinished else len(text)
        self._held = text[end:] + first_half
        return self._told(clean(self._context + text[:end])[len(self._context) :])

    def flush(self) -> str:
        """The clean rest, once there are no more fragments. The cleaner is then as new."""
        rest = clean(self._context + self._held)[len(self._context) :]
        self._held = self._context = ""
        return rest

    def _told(self, text: str) -> str:
        context = self._context + text[-_CONTEXT - 1 :]
        start = max(0, len(context) - _CONTEXT)
        if context[start : start + 1] == "\ufe0f":
            start -= 1  # without its emoji it would be a loose one
        self._context = context[start:]
        return text


def one_line(text: str, limit: int) -> str:
    """The text, cleaned, on one line of at most `limit` characters; `…` stands where it was cut."""
    line = " ".join(clean(text[: limit * 8 + 2 * _PAYLOAD_LIMIT]).split())
    return line if len(line) <= limit else f"{line[: limit - 1].rstrip()}…"


def shorten(text: str, limit_bytes: int = 32_768, limit_lines: int = 500) -> str:
    """The beginning of a long text, with a last line that says how much is missing.

    The limits are what a terminal can lay out without a pause; bytes are those of UTF-8.
    """
    kept = text
    if len(lines := text.split("\n", limit_lines)) > limit_lines:
        kept = "\n".join(lines[:limit_lines])
    if len(kept) * 4 > limit_bytes and len(raw := kept.encode(errors="replace")) > limit_bytes:
        kept = raw[:limit_bytes].decode(errors="ignore")
    if kept == text:
        return text
    missing = text[len(kept) :]
    more_lines = missing.strip("\n").count("\n") + 1
    return f"{kept}\n… {len(missing):,} more characters on {more_lines:,} more line{'s' if more_lines > 1 else ''}"
