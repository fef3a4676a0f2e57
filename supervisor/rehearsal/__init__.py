"""Rehearsal: the real CLI against an embedded Messages endpoint whose words are scripted, and people to talk to it.

Each name is imported when it is first used: a screen that is opened over a rehearsal needs the endpoint's address, and
neither its script nor its callers, for its first frame.
"""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from supervisor.rehearsal.callers import play as play
    from supervisor.rehearsal.colleague import stand_in as stand_in
    from supervisor.rehearsal.endpoint import Rehearsal as Rehearsal
    from supervisor.rehearsal.reply import Cut as Cut
    from supervisor.rehearsal.reply import Refuse as Refuse
    from supervisor.rehearsal.reply import Stall as Stall
    from supervisor.rehearsal.request import Request as Request


def _find_homes() -> dict[str, str]:
    """Public name → module, from the imports above: each name is written once."""
    source = __loader__.get_source(__name__) or ""  # type: ignore[name-defined]
    return {name: home for home, name in re.findall(r"^    from (supervisor\S*) import (\w+) as", source, re.MULTILINE)}


_HOME_OF = _find_homes()

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if (home := _HOME_OF.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value
