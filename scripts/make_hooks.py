"""Writes the tables of docs/hooks.md from the table of events (`supervisor.api.event_names`) and from the settings."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pydantic import BaseModel  # noqa: E402

from supervisor.api.event_names import COMMON, EVENT_NAMES, MEANINGS, UNNAMED  # noqa: E402
from supervisor.config.automation import (  # noqa: E402
    ActionSettings,
    HookSettings,
    RetrySettings,
    ScheduleSettings,
)

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
    rows = [f"| `{name}` | {field.description} |" for name, field in model.model_fields.items()]
    return "\n".join(["| key | |", "|---|---|", *rows])


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
