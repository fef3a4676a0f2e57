"""A value that was not expected, in the words of an error."""

from __future__ import annotations

from supervisor.text.cleaning import show_name


def in_words(value: object) -> str:
    """A value as its writer would recognise it, at most about 60 characters."""
    match value:
        case bool():
            return str(value).lower()
        case None:
            return "nothing"
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case str() if len(value) > 50:
            return show_name(f"{value[:50]!r}…")
        case float():
            return f"{value:g}"
        case int() if abs(value) >= 10**20:
            return "a number of more than 20 digits"
        case str() | int():
            return show_name(repr(value))
    return f"a {type(value).__name__}"
