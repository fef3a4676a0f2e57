"""Ids: those that come from outside are checked, those that are ours are made here."""

from __future__ import annotations

import re
import secrets
import threading
import time

from supervisor.api.errors import InvalidId
from supervisor.text.cleaning import show_name
from supervisor.text.values import in_words

ID_LIMIT = 128
"""Characters of a user's or session's id."""

DEFAULT_SESSION = "default"
"""The session of a prompt that names none: one per user and agent, never shared between users (S3.11–12)."""

_ALLOWED = re.compile(r"[A-Za-z0-9_@+][A-Za-z0-9_@+:.-]*")
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: digits sort before letters, and no two look alike."""
ID_LENGTH = 12
"""12 × 5 bits: 45 of milliseconds since 1970 (enough until the year 3084), then 15 that tell apart."""


def validate_id(value: object, what: str) -> str:
    """Returns `value` when it may name a user or a session. Raises `InvalidId`.

    Only ASCII letters, digits and `- _ . @ : +` are allowed, so that no two ids look alike (a Cyrillic `а` beside a
    Latin `a`), none can climb out of a directory, and none needs quoting on a screen, in a log or in a URL's path.
    """
    if not isinstance(value, str):
        raise InvalidId(f"{what} must be text, not {in_words(value)}")
    if not value:
        raise InvalidId(f"{what} must not be empty")
    if len(value) > ID_LIMIT:
        raise InvalidId(f"{what} has {len(value)} characters; at most {ID_LIMIT} are allowed")
    if not _ALLOWED.fullmatch(value) or ".." in value:
        raise InvalidId(
            f"{what} “{show_name(value[:40])}” must be ASCII letters, digits and - _ . @ : +, "
            "without .. and not beginning with - . or :"
        )
    return value


class _Clock:
    """Numbers that only grow: milliseconds in the high bits, so that ids sort by the time they were made."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def tick(self) -> int:
        now = time.time_ns() // 1_000_000 << 15 | secrets.randbits(15)
        with self._lock:
            self._last = max(now, self._last + 1)
            return self._last


_clock = _Clock()


def new_id() -> str:
    """Twelve characters that sort by time of making, are never made twice here, and hardly ever twice anywhere."""
    number = _clock.tick()
    return "".join(_ALPHABET[number >> shift & 31] for shift in range((ID_LENGTH - 1) * 5, -1, -5))
