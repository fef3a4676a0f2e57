"""Writes the tables of docs/hooks.md from those of events and their fields (`supervisor.api`) and from the settings."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pydantic import BaseModel  # noqa: E402
from pydantic.fields import FieldInfo  # noqa: E402

from supervisor.api.event_fields import COMMON, MEANINGS  # noqa: E402
from supervisor.api.event_names import EVENT_NAMES, UNNAMED  # noqa: E402
from supervisor.config.automation import (  # noqa: E402
    ActionSettings,
    HookSettings,
    RetrySettings,
    ScheduleSettings,
)
from supervisor.config.durations import PositiveLimit, spell_duration  # noqa: E402

TARGET = ROOT / "docs" / "hooks.md"


def events() -> str:
    rows = [
        f"| `{one.name}` | {one.says} | {', '.join(f'`{field}`' for field in one.own_fields)} |" for one in EVENT_NAMES
    ]
    unnamed = [f"- `{kind.__name__}`: {why}" for kind, why in UNNAMED.items()]
    return "\n".join(["| event | when | its own fields |", "|---|---|---|", *rows, "", "No hook hears:", "", *unnamed])


def fields() -> str:
    rows = [f"| `{name}` | {says} |" for name, says in (*COMMON.items(), *MEANINGS.items())]
    return "\n".join(["| field | |", "|---|---|", *rows])


def keys(model: type[BaseModel]) -> str:
    rows = []
    for name, field in model.model_fields.items():
        says, _, stated = (field.description or "").partition(" Default: ")
        default = stated.rstrip(".") or default_of(field)
        rows.append(f"| `{name}` | {value_of(field)} | {default} | {says} |")
    return "\n".join(["| key | value | default | |", "|---|---|---|---|", *rows])


def value_of(field: FieldInfo) -> str:
    """What may stand there, in words."""
    kinds = [one for one in alternatives(field.annotation) if one is not type(None)]
    if PositiveLimit.__metadata__[0] in field.metadata:
        return "length of time or `none`"
    (kind,) = kinds
    if get_origin(kind) is Literal:
        return ", ".join(f"`{one}`" for one in get_args(kind))
    if get_origin(kind) is tuple:
        return "list of texts" if str in get_args(kind) else "list of mappings"
    if get_origin(kind) is dict or (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return "mapping"
    if kind is float:
        return "length of time"
    if kind is int:
        least = next((one.ge for one in field.metadata if hasattr(one, "ge")), None)
        most = next((one.le for one in field.metadata if hasattr(one, "le")), None)
        return f"whole number from {least:,} to {most:,}"
    return {bool: "true or false", str: "text"}.get(kind, "anything that is JSON")


def alternatives(kind: Any) -> tuple[Any, ...]:
    """Of `A | B | None`, without what is annotated."""
    if get_origin(kind) is Annotated:
        return alternatives(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return tuple(one for part in get_args(kind) for one in alternatives(part))
    return (kind,)


def default_of(field: FieldInfo) -> str:
    if field.is_required():
        return "*required*"
    default = field.get_default(call_default_factory=True)
    if isinstance(default, float):
        return f"`{spell_duration(default)}`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default}`" if isinstance(default, str | int) else "none"


TABLES = {
    "events": events(),
    "fields": fields(),
    "hook": keys(HookSettings),
    "retry": keys(RetrySettings),
    "action": keys(ActionSettings),
    "schedule": keys(ScheduleSettings),
}


def fill(page: str) -> str:
    for name, table in TABLES.items():
        frame = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        page = re.sub(frame, lambda found, table=table: f"{found[1]}{table}\n{found[2]}", page, flags=re.DOTALL)
    return page


if __name__ == "__main__":
    TARGET.write_text(fill(TARGET.read_text("utf-8")), "utf-8")
    print(f"wrote {TARGET.relative_to(ROOT)}")
