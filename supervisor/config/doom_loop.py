"""`doomLoop` of a template: how often an agent may repeat itself before its turn is stopped."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from supervisor.config.field_types import MOST, ToolWords, whole
from supervisor.config.limits import Keys
from supervisor.text.values import in_words

COUNT = 10
"""Repetitions from which on a turn is stopped, unless told otherwise."""
WAITING_TOOLS = ("BashOutput", "TaskOutput", "TaskGet", "TaskList")
"""Tools that look how something is going: they are called again and again with the same input, and rightly."""


def _count(value: object) -> object:
    if value is None or (isinstance(value, str) and value.strip().lower() == "none"):
        return None
    return whole(value)


class DoomLoop(Keys):
    count: Annotated[
        Annotated[int, Field(ge=2, le=MOST)] | None,
        BeforeValidator(_count, json_schema_input_type=int | str | None),
    ] = Field(
        default=COUNT,
        description="How often the same tool may be called with the same input, with nothing else in between, before "
        "the turn is stopped, or `none`.",
    )
    exempt: ToolWords = Field(default=(), description="Tools that may be repeated, as a list or text with commas.")

    @property
    def exempt_tools(self) -> frozenset[str]:
        return frozenset((*WAITING_TOOLS, *self.exempt))


def _spelled_short(value: object) -> Any:
    """A number, or `none`, stands for the count alone."""
    if isinstance(value, dict | DoomLoop):
        return value
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"must be a whole number, none, or a mapping of keys, not {in_words(value)}")
    return {"count": value}


DoomLoopKey = Annotated[DoomLoop, BeforeValidator(_spelled_short, json_schema_input_type=int | str | DoomLoop)]
