"""Entries of `tools` that name Python functions: `package.module:function`."""

from __future__ import annotations

import re

SERVER = "bullpen"
"""The name under which the CLI knows the functions: `mcp__bullpen__create_schedule`."""

_REFERENCE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


def is_reference(word: str) -> bool:
    return _REFERENCE.fullmatch(word) is not None
