"""The examples of `docs/tools.md`, as they stand there."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from supervisor.api.tools import RunContext
from supervisor.config.loading import load_for
from supervisor.config.restrictions import describe_walls
from supervisor.config.settings import Settings
from supervisor.config.tool_functions import read_functions

TEXT = (Path(__file__).parents[3] / "docs/tools.md").read_text("utf-8")


def test_the_examples_load_and_run(tmp_path: Path) -> None:
    """S3.6."""
    for template in re.findall(r"```markdown\n(---\nname: (\w+)\n.*?)```", TEXT, re.DOTALL):
        (tmp_path / f"{template[1]}.md").write_text(template[0])
    for path, source in re.findall(r"```python\n# file: (\S+)\n(.*?)```", TEXT, re.DOTALL):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(source)
    loaded = load_for(Settings(templates_dir=tmp_path))
    assert not loaded.left_out
    assert all("mcpServers." in note for note in loaded.notes), "servers that this host has not"
    frontdesk = next(one for one in loaded.templates if one.name == "frontdesk")
    assert "tool reserve(room, day) of booking:reserve: at most 300 s" in describe_walls(frontdesk)
    (reserve, free_rooms), mistakes = read_functions(frontdesk.functions, frontdesk.path)
    assert not mistakes
    context = RunContext("frontdesk", "ana", "default", "turn", tmp_path)
    made = reserve.call(context, reserve.validate({"room": "7", "day": "today"}))
    assert made.model_dump() == {"room": 7, "day": "today", "by": "ana"}
    assert asyncio.run(free_rooms.call(context, free_rooms.validate({"day": "today"}))) == [1, 2, 7]


def test_the_mistake_that_is_shown_is_the_one_that_is_told(tmp_path: Path) -> None:
    (wanted,) = re.findall(r"^frontdesk.md:.*$", TEXT, re.MULTILINE)
    source = re.findall(r"```python\n# file: (\S+)\n(.*?)```", TEXT, re.DOTALL)[0][1]
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "booking.py").write_text(source)
    (tmp_path / "good.md").write_text("---\nname: good\ndescription: d\n---\n")
    (tmp_path / "frontdesk.md").write_text("---\nname: frontdesk\ndescription: d\ntools: Read, booking:reserv\n---\n")
    (told,) = load_for(Settings(templates_dir=tmp_path)).left_out
    assert told == wanted
