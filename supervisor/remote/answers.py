"""What verbs are answered with that is no value of the contract: one field each, read as the contract's values are."""

from __future__ import annotations

from msgspec import Struct


class Stopped(Struct, frozen=True, gc=False):
    interrupted: bool


class Cleared(Struct, frozen=True, gc=False):
    cancelled: int


class Warmed(Struct, frozen=True, gc=False):
    warms: bool


class Forgot(Struct, frozen=True, gc=False):
    sessions: int


class Begun(Struct, frozen=True, gc=False):
    id: str
    """Of the turn."""
