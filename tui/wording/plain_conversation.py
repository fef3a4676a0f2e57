"""A conversation as plain text, for a terminal's own selection and for other programs. No widgets."""

from __future__ import annotations

from supervisor import Asked, Entry, Noticed, Reading, Replied, ToolCalled, ToolReturned
from tui.wording.sanitize import clean_text

MOST_PLAIN = 200_000
"""Characters of the newest part that is shown: a terminal selects a page at a time."""


def plain_conversation(whole: Reading) -> str:
    """The newest `MOST_PLAIN` characters of a reading from the beginning; what is being streamed comes last."""
    parts: list[str] = []
    size = 0
    for part in (whole.opened, *map(plain_entry, reversed(whole.entries))):
        if part:
            parts.append(clean_text(part))
            size += len(part)
        if size >= MOST_PLAIN:
            break
    return "\n\n".join(reversed(parts))[-MOST_PLAIN:]


def plain_entry(entry: Entry) -> str:
    """Empty for what has no words of its own."""
    match entry:
        case Asked(user=user, text=text):
            return f"{user}: {text}"
        case Replied(text=text) | Noticed(text=text):
            return text
        case ToolCalled(tool=tool, summary=summary):
            return f"[{tool}] {summary}"
        case ToolReturned(text=text):
            return text
    return ""
