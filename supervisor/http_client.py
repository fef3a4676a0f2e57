"""`httpx`, imported without its own command line: that would bring Rich, Click and Pygments, a third of the import."""

from __future__ import annotations

import sys

_COMMAND_LINE = "httpx._main"
_is_left_out = "httpx" not in sys.modules
if _is_left_out:
    sys.modules[_COMMAND_LINE] = None  # type: ignore[assignment]  # its import fails, as where Click is not installed

import httpx as httpx  # noqa: E402

if _is_left_out:
    del sys.modules[_COMMAND_LINE]
