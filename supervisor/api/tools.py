"""What a Python function that agents call as a tool works with: whose call it is, and what its author declares.

from supervisor import RunContext, tool

@tool(read_only=True, timeout=20)
def count_tickets(context: RunContext, project: str) -> int:
    '''How many tickets of the project are open.'''
    return len(tickets_of(context.user, project))
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

MARK = "__bullpen_tool__"
"""Attribute of a function that `tool` has marked."""
TIMEOUT = 300.0
"""Seconds that a call of a tool may take unless its author declares another limit (S1.28)."""


class RunContext(Struct, frozen=True, gc=False):
    """The instance, user, session and turn that a tool is called for. bullpen fills in a parameter of this type: the
    model neither sees nor sets it."""

    instance: str
    user: str
    """Who sent the prompt of the turn; in a session that several users share, the one whose turn it is."""
    session: str
    turn: str
    """The turn's id."""
    folder: Path
    """Private to the user, the same in every session and instance, for what tools keep of the user. It is there before
    a call begins, and `bullpen forget USER` removes it."""


class Declared(Struct, frozen=True, gc=False):
    """Properties of a tool that its author declares."""

    read_only: bool = False
    """It changes nothing: several calls of one reply run in parallel."""
    timeout: float = TIMEOUT
    """Seconds that a call may take."""
    name: str = ""
    """What the model calls it by; empty for the function's own name."""


def tool(*, read_only: bool = False, timeout: float = TIMEOUT, name: str = "") -> Callable[[FunctionT], FunctionT]:
    """Declares what bullpen cannot see in the signature of a function. A function without it is a tool too.

    Raises `ValueError` for a time-out that is no positive number of seconds.
    """
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < float("inf"):
        raise ValueError(f"timeout must be a positive number of seconds, not {timeout!r}")

    def mark(function: FunctionT) -> FunctionT:
        setattr(function, MARK, Declared(read_only, float(timeout), name))
        return function

    return mark
