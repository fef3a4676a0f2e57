"""Rehearsal: the real CLI against an embedded Messages endpoint whose words are scripted, and people to talk to it.

Each name is imported when it is first used: a screen that is opened over a rehearsal needs the endpoint's address, and
neither its script nor its callers, for its first frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervisor.late_names import LateNames

if TYPE_CHECKING:
    from supervisor.rehearsal.callers import play as play
    from supervisor.rehearsal.colleague import stand_in as stand_in
    from supervisor.rehearsal.endpoint import Rehearsal as Rehearsal
    from supervisor.rehearsal.reply import Cut as Cut
    from supervisor.rehearsal.reply import Refuse as Refuse
    from supervisor.rehearsal.reply import Stall as Stall
    from supervisor.rehearsal.request import MessagesRequest as MessagesRequest


_LATE = LateNames(__name__)

__all__ = sorted(_LATE.homes)


def __getattr__(name: str) -> Any:
    return _LATE.get(name)
