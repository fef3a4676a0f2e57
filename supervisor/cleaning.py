"""The wall against untrusted text: what a model, a tool or a user wrote cannot drive a terminal (R5).

Every text from outside passes here once, where it enters the engine. What comes out holds no escape sequence, no
control character but newline and tab, nothing that turns the reading direction, nothing invisible and no lone
surrogate. Escape sequences go as a whole, their payload with them, so that no debris is left to read.

Zero-width joiners go too, although emoji families then fall apart into their members: an invisible character is an
invisible difference between two texts, and terminals do not agree on the width of what is joined.
"""

from __future__ import annotations

import re

REPLACEMENT = "\ufffd"
"""Stands where a lone surrogate was."""

_PAYLOAD_LIMIT = 4096
"""Characters of a control string (a title, a clipboard, a link) that are taken away with it. A longer one, one that
holds a line break and one that never ends lose only their introducer, and so cannot hide the text behind them."""
_PARAMETER_LIMIT = 64
"""Characters of parameters in one control sequence; real ones have a dozen."""

_CONTROL_STRING = f"(?:\x1b[\\]PX^_]|[\x90\x98\x9d-\x9f])[^\x00-\x1f\x7f-\x9f]{{0,{_PAYLOAD_LIMIT}}}"
_CONTROL_SEQUENCE = f"(?:\x1b\\[|\x9b)[0-?]{{0,{_PARAMETER_LIMIT}}}[ -/]{{0,4}}"
_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Bidirectional controls, zero-width characters, blank fillers and tags."""

_FORBIDDEN = f"\x00-\x08\x0b-\x1f\x7f-\x9f{_INVISIBLE}"
_SUSPECT = re.compile(f"[{_FORBIDDEN}\u2028\u2029\ud800-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LINE_BREAK = re.compile("\r\n?|[\u2028\u2029]")
_UNWANTED = re.compile(
    f"{_CONTROL_STRING}(?:\x07|\x1b\\\\|\x9c)|{_CONTROL_SEQUENCE}[@-~]|\x1b[ -/]{{0,4}}[0-~]|[{_FORBIDDEN}]"
)
_LOOKS_LIKE_LESS = (
    "\r\u2028\u2029\ud800-\udfff"  # acts as a line break, or is half a character
    "\ufe00-\ufe0f\U0001f3fb-\U0001f3ff"  # variation selectors and skin tones: no cell of their own
    "\u00a0\u1680\u2000-\u200a\u202f\u205f\u2800\u3000"  # blank, and not the space that it looks like
)
_UNSEEN = re.compile(f"[{_FORBIDDEN}{_LOOKS_LIKE_LESS}]")
"""What a reader cannot see, or takes for something else."""
_UNFINISHED = re.compile(f"(?:{_CONTROL_STRING}\x1b?|{_CONTROL_SEQUENCE}|\x1b[ -/]{{0,4}}|\r)\\Z")
"""The end of a text that may go on as something else than it looks now."""


def clean(text: str) -> str:
    """The text without anything that acts on a terminal or hides from its reader. Line breaks become newlines."""
    if (text.isascii() and text.isprintable()) or not _SUSPECT.search(text):
        return text
    return _UNWANTED.sub("", _LINE_BREAK.sub("\n", _join_surrogates(text)))


def reveal(text: str) -> str:
    """The text with a visible escape for each character that acts on a terminal, hides from its reader or looks like a
    plain space: `⟨ESC⟩`, `⟨CR⟩`, `⟨U+202E⟩`. Newlines and tabs stay. Nothing is taken away, so what is decided on can
    be seen whole; a text that was revealed before stays as it is."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSEEN.sub(lambda found: name_unseen(found[0]), text)


def find_unseen(text: str) -> list[str]:
    """Each character of the text that `reveal` would replace, in order, repetitions included."""
    return [] if text.isascii() and text.isprintable() else _UNSEEN.findall(text)


def name_unseen(character: str) -> str:
    """`⟨ESC⟩` or `⟨U+202E⟩`: what stands for the character where it is shown."""
    return {"\x1b": "⟨ESC⟩", "\r": "⟨CR⟩", "\0": "⟨NUL⟩"}.get(character) or f"⟨U+{ord(character):04X}⟩"


def _join_surrogates(text: str) -> str:
    """Two halves of a character become that character; a half alone becomes U+FFFD."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class StreamCleaner:
    """Cleans a text that arrives in fragments, cut anywhere: together they give what `clean` gives for the whole.

    Holds back at most the unfinished escape sequence, line break or surrogate pair at the end of a fragment.
    """

    def __init__(self) -> None:
        self._held = ""

    def feed(self, fragment: str) -> str:
        """The clean text that is certain by now."""
        text = self._held + fragment
        if text.isascii() and text.isprintable():
            self._held = ""
            return text
        first_half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        text = _join_surrogates(text.removesuffix(first_half))
        unfinished = _UNFINISHED.search(text)
        end = unfinished.start() if unfinished else len(text)
        self._held = text[end:] + first_half
        return clean(text[:end])

    def flush(self) -> str:
        """The clean rest, once there are no more fragments. The cleaner is then as new."""
        rest, self._held = self._held, ""
        return clean(rest)


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
