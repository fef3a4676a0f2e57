"""Rehearsal: the real CLI against an embedded Messages endpoint whose words are scripted, and people to talk to it.

Each name is imported when it is first used: a screen that is opened over a rehearsal needs the endpoint's address, and
neither its script nor its callers, for its first frame.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from supervisor.rehearsal.callers import play
    from supervisor.rehearsal.colleague import stand_in
    from supervisor.rehearsal.endpoint import Rehearsal
    from supervisor.rehearsal.reply import Cut, Refuse, Stall
    from supervisor.rehearsal.request import Request

__all__ = ["Cut", "Refuse", "Rehearsal", "Request", "Stall", "play", "stand_in"]

_HOME_OF = {
    "play": "callers",
    "stand_in": "colleague",
    "Rehearsal": "endpoint",
    "Cut": "reply",
    "Refuse": "reply",
    "Stall": "reply",
    "Request": "request",
}


def __getattr__(name: str) -> Any:
    if (home := _HOME_OF.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
