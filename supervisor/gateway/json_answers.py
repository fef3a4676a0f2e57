"""JSON as it leaves the door: whatever text it holds, it can be encoded, and it is one line to every reader."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import JSONResponse

from supervisor.api.codec import storable

_LINE_ENDS = str.maketrans({end: f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"})
"""What JSON leaves as it is, and many a reader of streams takes for the end of a line. It can stand only in texts."""


def write_json(value: Any) -> str:
    """The value as JSON without blanks. A lone surrogate, which an agent may have written, becomes U+FFFD."""
    return storable(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")))


def on_one_line(packed: str) -> str:
    """The JSON with the characters escaped that some readers take for the end of a line."""
    return packed if packed.isascii() else packed.translate(_LINE_ENDS)


class JsonAnswer(JSONResponse):
    def render(self, content: Any) -> bytes:
        return write_json(content).encode()
