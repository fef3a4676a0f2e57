"""A template that is saved while everything runs reaches a real CLI at the session's next turn, its history kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from supervisor.api import events as past
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done
from supervisor.api.prompts import Prompt
from supervisor.config.loading import load_for
from supervisor.config.settings import Settings
from supervisor.engine.supervisor import Supervisor
from supervisor.feed import Subscription
from supervisor.rehearsal import Rehearsal
from tests.waiting import until

pytestmark = pytest.mark.anyio

SKILL = "---\nname: verses\ndescription: {words}\n---\nWrite verses.\n"


def save(folder: Path, prompt: str, **keys: str) -> None:
    front = {"name": "desk", "description": "a test agent", "pool": "{spares: 0}"} | keys
    lines = "".join(f"{key}: {value}\n" for key, value in front.items())
    fresh = folder / "desk.md.new"
    fresh.write_text(f"---\n{lines}---\n{prompt}\n", "utf-8")
    fresh.rename(folder / "desk.md")  # as editors save


@asynccontextmanager
async def bullpen(folder: Path, state: Path, rehearsal: Rehearsal) -> AsyncIterator[tuple[Supervisor, Subscription]]:
    settings = Settings.model_validate({"state_dir": state, "templates_dir": folder, "rehearsal": True})
    environment = rehearsal.environment(state / "claude")
    loaded = load_for(settings)
    async with Supervisor(loaded.templates, settings, environment=environment, is_live=True) as supervisor:
        with await supervisor.watch() as feed:
            yield supervisor, feed


async def test_an_edited_template_reaches_an_idle_session_at_its_next_turn_with_its_history(tmp_path: Path) -> None:
    """S3.1-2, S4.1, S4.25: new prompt, new tools, a new skill; a broken edit between them changes nothing."""
    folder = tmp_path / "templates"
    skill = folder / ".claude" / "skills" / "verses" / "SKILL.md"
    skill.parent.mkdir(parents=True)
    skill.write_text(SKILL.format(words="writes the old verses"), "utf-8")
    save(folder, "You are the first version.", tools="Read")
    async with (
        Rehearsal(pace=0.01, keep=100) as rehearsal,
        bullpen(folder, tmp_path / "state", rehearsal) as (supervisor, feed),
    ):
        told: list[past.Event] = []

        async def until_told(kind: type[past.Event], count: int = 1) -> None:
            def has_come() -> bool:
                told.extend(feed.take().events)
                return sum(isinstance(event, kind) for event in told) >= count

            await until(has_come, within=60)

        async def ask(text: str) -> str:
            outcome = await (await supervisor.submit(Prompt("desk", text, user="ana"))).outcome()
            assert isinstance(outcome, Done), outcome
            return outcome.text

        def sent(phrase: str) -> tuple[str, set[str]]:
            """What the CLI sent with that prompt: everything, and the names of the tools."""
            request = next(one for one in rehearsal.record if phrase in one.prompt)
            return request.text, set(request.tools)

        await ask("one [[say: yes]]")
        words, tools = sent("one")
        assert "You are the first version." in words
        assert "Read" in tools
        assert "Grep" not in tools
        session = supervisor.view.session_row(SessionKey("desk", "ana", "default"))
        assert session is not None

        save(folder, "You are the second version.", tools="Grep", skills="[verses]")
        await until_told(past.TemplateRolled)
        assert "one" in await ask("two [[recall]]"), "the history is kept"
        words, tools = sent("two")
        assert "You are the second version." in words
        assert "You are the first version." not in words
        assert ("Grep" in tools, "Read" in tools) == (True, False)
        assert "writes the old verses" in words
        now = supervisor.view.session_row(SessionKey("desk", "ana", "default"))
        assert now is not None
        assert now.session_uuid == session.session_uuid

        save(folder, "You are broken.", tools="Grep", maxTurns="no")
        await until_told(past.TemplateBroken)
        skill.write_text(SKILL.format(words="writes the new verses"), "utf-8")
        save(folder, "You are the second version.", tools="Grep", skills="[verses]")
        await until_told(past.TemplateRolled, 2)
        await ask("three [[recall]]")
        words, _ = sent("three")
        assert "You are the second version." in words
        assert "writes the new verses" in words  # the CLI keeps what it said of the old one in the conversation

        # The last skill and the last tool go: that is a change as well.
        save(folder, "You are the third version.", tools="''")
        await until_told(past.TemplateRolled, 3)
        assert "two" in await ask("four [[recall]]")
        words, tools = sent("four")
        assert "You are the third version." in words
        assert tools == set(), "neither Grep nor Skill"

        contexts = await supervisor.contexts()
        (row,) = contexts.contexts
        assert (row.tools, row.names_tools, row.skills, row.uses) == ((), True, (), 4)
        (cache,) = [cache for cache in contexts.caches if cache.name == "contexts"]
        assert (cache.hits, cache.entries, cache.failures) == (4, 1, 0)
        pool = supervisor.view.snapshot().instances[0].pool
        assert pool.cold == 1, "nobody waited for a start because of an edit"
