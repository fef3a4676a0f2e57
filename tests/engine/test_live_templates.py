"""The folder of templates is followed while the supervisor runs (S3.1-2)."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from supervisor.api import events as past
from supervisor.api.errors import NotAccepting, Refused, UnknownAgent
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done
from supervisor.api.prompts import Prompt
from supervisor.api.snapshot import InstanceRow
from supervisor.api.states import InstanceState
from supervisor.config.loading import load_for
from supervisor.config.settings import Settings
from supervisor.config.template import Template
from supervisor.config.template_file import TemplateReading
from supervisor.config.template_folder import TemplateFile
from supervisor.engine import live_templates
from supervisor.engine.supervisor import Supervisor
from supervisor.feed import Subscription
from supervisor.testing import FakeConnection, FakeConnector, FakeWorld, hold
from tests.waiting import until

pytestmark = pytest.mark.anyio

ANA = SessionKey("desk", "ana", "default")


class Bullpen:
    """A folder of templates, and the supervisor that follows it."""

    def __init__(self, base: Path, world: FakeWorld) -> None:
        self.folder = base / "templates"
        self.folder.mkdir()
        self.base, self.world = base, world
        self.supervisor: Supervisor
        self.feed: Subscription
        self.events: list[past.Event] = []

    def save(self, name: str, prompt: str = "Help.", *, file: str = "", **keys: str) -> Path:
        front = {"name": name, "description": "a test agent", "pool": "{spares: 0}"} | keys
        text = "".join(f"{key}: {value}\n" for key, value in front.items())
        path = self.folder / (file or f"{name}.md")
        path.write_text(f"---\n{text}---\n{prompt}\n", encoding="utf-8")
        return path

    @asynccontextmanager
    async def open(self, **host: object) -> AsyncIterator[Bullpen]:
        settings = Settings.model_validate(
            {"state_dir": self.base / "state", "templates_dir": self.folder, "cleanup_interval": 0.01} | host
        )
        loaded = load_for(settings)
        engine = Supervisor(
            loaded.templates, settings, connect=self.world.connect, left_out=loaded.left_out, is_live=True
        )
        async with engine as self.supervisor:
            with await self.supervisor.watch() as self.feed:
                yield self
        assert self.world.violations == []

    async def ask(self, text: str, agent: str = "desk", user: str = "ana") -> None:
        ticket = await self.supervisor.submit(Prompt(agent, text, user=user))
        assert isinstance(await ticket.outcome(), Done)

    def row(self, name: str = "desk") -> InstanceRow:
        found = self.supervisor.view.instance_row(name)
        assert found is not None
        return found

    def told(self, kind: type[past.Event]) -> list[past.Event]:
        self.events += self.feed.take().events
        return [event for event in self.events if isinstance(event, kind)]

    async def until_told(self, kind: type[past.Event], count: int = 1) -> past.Event:
        await until(lambda: len(self.told(kind)) >= count)
        return self.told(kind)[count - 1]


@pytest.fixture
def bullpen(tmp_path: Path, world: FakeWorld) -> Bullpen:
    return Bullpen(tmp_path, world)


def prompt_of(connection: FakeConnection) -> str:
    assert connection.template is not None
    return connection.template.system_prompt


async def test_a_saved_template_reaches_an_idle_session_at_its_next_turn(bullpen: Bullpen) -> None:
    """S3.1-2: prompt and tools together, the history kept."""
    bullpen.save("desk", tools="Read")
    async with bullpen.open():
        await bullpen.ask("one")
        bullpen.save("desk", "Help in verse.", tools="Read, Grep")
        event = await bullpen.until_told(past.TemplateChanged)
        assert isinstance(event, past.TemplateChanged)
        assert (event.instance, set(event.changed), event.clients) == ("desk", {"prompt", "tools"}, 1)
        rolled = await bullpen.until_told(past.TemplateRolled)
        assert isinstance(rolled, past.TemplateRolled)
        assert rolled.clients == 1
        await bullpen.ask("two")
        holder = bullpen.world.holder_of("two")
        assert (prompt_of(holder), holder.template and holder.template.tools) == ("Help in verse.", ("Read", "Grep"))
        assert holder.remembers == ["one", "two"]
        assert (bullpen.row().version, bullpen.row().outdated) == (2, 0)


async def test_how_far_a_roll_has_come_and_what_still_runs_the_earlier_version_is_shown(bullpen: Bullpen) -> None:
    """S3.1-2: drift."""
    bullpen.save("desk", concurrency="{maxSessions: 3}")
    async with bullpen.open():
        bullpen.world.on_prompt = hold
        tickets = [await bullpen.supervisor.submit(Prompt("desk", f"{user}?", user=user)) for user in ("a", "b", "c")]
        await until(lambda: len(bullpen.world.written) == 3)
        bullpen.feed.take()
        bullpen.save("desk", "Help in verse.", concurrency="{maxSessions: 3}")
        await until(lambda: bullpen.row().outdated == 3)
        assert [row.is_outdated for row in bullpen.feed.take().clients] == [True] * 3
        assert (bullpen.row().outdated, bullpen.row().rolled, bullpen.row().to_roll) == (3, 0, 3)
        assert bullpen.row().note == "rolled 0 of 3"
        assert [row.is_outdated for row in bullpen.supervisor.view.snapshot().clients] == [True] * 3
        bullpen.world.holder_of("a?").reply("done")
        await tickets[0].outcome()
        await until(lambda: bullpen.row().rolled == 1)
        assert (bullpen.row().outdated, bullpen.row().note) == (2, "rolled 1 of 3")
        bullpen.supervisor._instances["desk"].rollout.judge()  # as where other options are wanted of one of them
        assert (bullpen.row().outdated, bullpen.row().note) == (2, "rolled 1 of 3")
        for user in "bc":
            bullpen.world.holder_of(f"{user}?").reply("done")
        await bullpen.until_told(past.TemplateRolled)
        assert (bullpen.row().outdated, bullpen.row().note) == (0, "")


@pytest.mark.parametrize(
    ("before", "after"),
    [({"tools": "Read"}, {"tools": "''"}), ({"skills": "[pdf]"}, {}), ({"tools": "''"}, {})],
    ids=["the last tool", "the last skill", "no tool and all tools"],
)
async def test_removing_the_last_one_is_a_change(
    bullpen: Bullpen, before: dict[str, str], after: dict[str, str]
) -> None:
    """S4.24: an empty set is a value and not "do not care"."""
    bullpen.save("desk", **before)
    async with bullpen.open():
        await bullpen.ask("one")
        bullpen.save("desk", **after)
        await bullpen.until_told(past.TemplateRolled)


async def test_a_change_of_limits_alone_rolls_nothing_and_leaves_an_operators_change(bullpen: Bullpen) -> None:
    bullpen.save("desk", concurrency="{maxSessions: 2}")
    async with bullpen.open():
        await bullpen.ask("one")
        await bullpen.supervisor.adjust("desk", "idleTtl", "77s")
        bullpen.save("desk", concurrency="{maxSessions: 5}", questionTtl="9s")
        event = await bullpen.until_told(past.TemplateChanged)
        assert isinstance(event, past.TemplateChanged)
        assert (set(event.changed), event.clients) == ({"concurrency", "questionTtl"}, 0)
        limits = await bullpen.supervisor.limits("desk")
        wanted = ("concurrency.maxSessions", "questionTtl", "pool.idleTtl")
        assert [limits[name] for name in wanted] == ["5", "9s", "77s"]
        assert (bullpen.row().version, len(bullpen.world.connections)) == (1, 1)
        # What the file says anew about that limit is stronger again.
        bullpen.save("desk", concurrency="{maxSessions: 5}", questionTtl="9s", pool="{spares: 0, idleTtl: 5s}")
        await bullpen.until_told(past.TemplateChanged, 2)
        assert (await bullpen.supervisor.limits("desk"))["pool.idleTtl"] == "5s"


async def test_a_broken_edit_keeps_the_last_good_version_and_says_where_it_is_broken(bullpen: Bullpen) -> None:
    path = bullpen.save("desk")
    async with bullpen.open():
        await bullpen.ask("one")
        bullpen.save("desk", "Help in verse.", maxTurns="no")
        event = await bullpen.until_told(past.TemplateBroken)
        line = "desk.md:5: maxTurns must be a whole number, not 'no'"
        assert isinstance(event, past.TemplateBroken)
        assert event.message == f"{line} (the version before goes on)"
        assert (bullpen.row().template_mistake, bullpen.row().note) == (line, line)
        assert bullpen.supervisor.view.host_row().left_out == (event.message,)
        await bullpen.ask("two")
        assert prompt_of(bullpen.world.holder_of("two")) == "Help."
        for text in ("", "---\nname: [", "---\nname: 7a\ndescription: x\n---\nx\0"):
            path.write_text(text, encoding="utf-8")
            count = len(bullpen.told(past.TemplateBroken))
            await bullpen.until_told(past.TemplateBroken, count + 1)
            assert bullpen.row().state is InstanceState.RUNNING
            assert bullpen.row().template_mistake.startswith("desk.md:")
        bullpen.save("desk", "Help in prose.")
        await bullpen.until_told(past.TemplateMended)
        await bullpen.ask("three")
        assert prompt_of(bullpen.world.holder_of("three")) == "Help in prose."
        assert (bullpen.row().template_mistake, bullpen.supervisor.view.host_row().left_out) == ("", ())


async def test_a_removed_template_drains_its_instance_which_is_gone_when_it_is_empty(bullpen: Bullpen) -> None:
    path = bullpen.save("desk")
    bullpen.save("clerk")
    async with bullpen.open():
        bullpen.world.on_prompt = hold
        ticket = await bullpen.supervisor.submit(Prompt("desk", "one", user="ana"))
        await until(lambda: bool(bullpen.world.written))
        path.unlink()
        await until(lambda: bullpen.row().is_removed)
        assert bullpen.row().state is InstanceState.DRAINING
        assert bullpen.row().note.startswith("its template was removed, desk/ana/default still works")
        with pytest.raises(NotAccepting):
            await bullpen.supervisor.submit(Prompt("desk", "no", user="ben"))
        with pytest.raises(Refused, match=r"put desk\.md back"):
            await bullpen.supervisor.resume("desk")
        bullpen.world.holder_of("one").reply("done")
        assert isinstance(await ticket.outcome(), Done), "nothing is interrupted because of it"
        await bullpen.until_told(past.InstanceClosed)
        snapshot = bullpen.supervisor.view.snapshot()
        assert [row.name for row in snapshot.instances] == ["clerk"]
        assert (snapshot.sessions, snapshot.clients) == ((), ())
        with pytest.raises(UnknownAgent):
            await bullpen.supervisor.submit(Prompt("desk", "no", user="ben"))
        # It comes back: so do its sessions, and what was said in them.
        bullpen.world.on_prompt = lambda connection, text: connection.reply("yes")
        bullpen.save("desk", "Help in verse.")
        await bullpen.until_told(past.InstanceOpened)
        assert [row.key for row in bullpen.supervisor.view.snapshot().sessions] == [ANA]
        await bullpen.ask("two")
        assert bullpen.world.holder_of("two").remembers == ["one", "two"]


async def test_what_a_restart_interrupted_is_on_offer_again_when_its_instance_is(bullpen: Bullpen) -> None:
    """R2, S3.2: while it is gone nothing is decided, and nothing of it is lost."""
    path = bullpen.save("desk")
    bullpen.save("clerk")
    bullpen.world.on_prompt = hold
    async with bullpen.open():
        await bullpen.supervisor.submit(Prompt("desk", "one", user="ana"))
        await until(lambda: bool(bullpen.world.written))
    async with bullpen.open():
        path.unlink()
        await bullpen.until_told(past.InstanceClosed)
        assert bullpen.supervisor.view.snapshot().sessions == ()
        bullpen.save("desk")
        await bullpen.until_told(past.InstanceOpened)
        (row,) = bullpen.supervisor.view.snapshot().sessions
        assert row.offer is not None
        assert row.offer.text == "one"
        await bullpen.supervisor.drop_offer(ANA)
        assert bullpen.supervisor.failure is None


async def test_a_template_that_is_put_back_before_its_instance_is_empty_resumes_it(bullpen: Bullpen) -> None:
    path = bullpen.save("desk")
    async with bullpen.open():
        bullpen.world.on_prompt = hold
        await bullpen.supervisor.submit(Prompt("desk", "one", user="ana"))
        await until(lambda: bool(bullpen.world.written))
        path.rename(bullpen.base / "aside.md")
        await until(lambda: bullpen.row().state is InstanceState.DRAINING)
        (bullpen.base / "aside.md").rename(path)
        await until(lambda: bullpen.row().state is InstanceState.RUNNING)
        assert not bullpen.row().is_removed
        bullpen.world.holder_of("one").reply("done")


async def test_a_paused_instance_is_paused_again_when_its_template_is_back(bullpen: Bullpen) -> None:
    path = bullpen.save("desk")
    async with bullpen.open():
        bullpen.world.on_prompt = hold
        await bullpen.supervisor.submit(Prompt("desk", "one", user="ana"))
        await until(lambda: bool(bullpen.world.written))
        await bullpen.supervisor.pause("desk")
        path.rename(bullpen.base / "aside.md")
        await until(lambda: bullpen.row().state is InstanceState.DRAINING)
        (bullpen.base / "aside.md").rename(path)
        await until(lambda: bullpen.row().state is InstanceState.PAUSED)
        bullpen.world.holder_of("one").reply("done")


async def test_a_new_file_opens_an_instance_and_another_name_in_a_file_is_another_instance(bullpen: Bullpen) -> None:
    bullpen.save("desk")
    async with bullpen.open():
        bullpen.save("clerk")
        event = await bullpen.until_told(past.InstanceOpened)
        assert event.instance == "clerk"
        await bullpen.ask("hello", "clerk")
        bullpen.save("secretary", file="clerk.md")
        await bullpen.until_told(past.InstanceClosed)
        assert [row.name for row in bullpen.supervisor.view.snapshot().instances] == ["desk", "secretary"]


def rename_over(bullpen: Bullpen) -> None:
    """As editors save: a new file takes the old one's name."""
    fresh = bullpen.save("desk", "Help in verse.", file="desk.md~")
    fresh.rename(bullpen.folder / "desk.md")


def replace_folder(bullpen: Bullpen) -> None:
    """As a deployment does."""
    other = bullpen.base / "other"
    shutil.copytree(bullpen.folder, other)
    old, bullpen.folder = bullpen.folder, other
    bullpen.save("desk", "Help in verse.")
    bullpen.folder = old
    old.rename(bullpen.base / "old")
    other.rename(old)


def delete_and_write(bullpen: Bullpen) -> None:
    (bullpen.folder / "desk.md").unlink()
    bullpen.save("desk", "Help in verse.")


def edit_behind_a_link(bullpen: Bullpen) -> None:
    path = bullpen.folder / "desk.md"
    path.rename(bullpen.base / "elsewhere.md")
    path.symlink_to(bullpen.base / "elsewhere.md")


def save_in_place(bullpen: Bullpen) -> None:
    bullpen.save("desk", "Help in verse.")


@pytest.mark.parametrize("is_watched", [True, False], ids=["watched", "looked at"])
@pytest.mark.parametrize("save", [save_in_place, rename_over, replace_folder, delete_and_write])
async def test_however_it_is_saved_it_is_noticed(
    bullpen: Bullpen, save: Callable[[Bullpen], None], is_watched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3.1-2: also where the system does not tell of changes."""
    if not is_watched:

        def refuse(*paths: str, **options: object) -> None:
            raise OSError("OS file watch limit reached")

        monkeypatch.setattr("watchfiles.awatch", refuse)
    bullpen.save("desk")
    async with bullpen.open():
        await bullpen.ask("one")
        save(bullpen)
        await bullpen.until_told(past.TemplateRolled)
        assert prompt_of(bullpen.world.live[0]) == "Help in verse."
        bullpen.save("desk", "Help in prose.")  # what is there now is followed as well
        await bullpen.until_told(past.TemplateRolled, 2)
        assert prompt_of(bullpen.world.live[0]) == "Help in prose."
        assert bullpen.told(past.InstanceClosed) == []


async def test_what_a_link_leads_to_is_followed(bullpen: Bullpen) -> None:
    bullpen.save("desk")
    edit_behind_a_link(bullpen)
    async with bullpen.open():
        await bullpen.ask("one")
        target = bullpen.base / "elsewhere.md"
        target.write_text(target.read_text("utf-8").replace("Help.", "Help in verse."), "utf-8")
        await bullpen.until_told(past.TemplateRolled)
        assert prompt_of(bullpen.world.live[0]) == "Help in verse."


class Made(FakeConnector):
    """Clients are made from what a file says besides the template, as with skills and with values of `env`."""

    def __init__(self, world: FakeWorld, template: Template, file: Path) -> None:
        super().__init__(world, template)
        self._said = file.read_text("utf-8")

    @property
    def digest(self) -> str:
        return f"{super().digest} {self._said}"


@pytest.mark.parametrize("way", [".claude/skills/pdf/SKILL.md", "secret.txt"], ids=["a skill", "a value of env"])
async def test_an_edit_of_what_clients_are_made_from_reaches_them_as_one_of_the_template_does(
    bullpen: Bullpen, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S4.25"""
    file = bullpen.folder / way
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("old", "utf-8")
    monkeypatch.setattr(bullpen.world, "connect", lambda template: Made(bullpen.world, template, file))
    bullpen.save("desk", skills="[pdf]", env="{KEY: 'file:secret.txt'}" if way == "secret.txt" else "{}")
    async with bullpen.open():
        await bullpen.ask("one")
        await until(lambda: bool(bullpen.supervisor._live and bullpen.supervisor._live._watch._stamps))
        file.write_text("new", "utf-8")
        event = await bullpen.until_told(past.TemplateChanged)
        assert isinstance(event, past.TemplateChanged)
        assert event.clients == 1
        await bullpen.until_told(past.TemplateRolled)


async def test_a_folder_that_is_gone_changes_nothing_until_it_is_back(bullpen: Bullpen) -> None:
    bullpen.save("desk")
    async with bullpen.open():
        await bullpen.ask("one")
        bullpen.folder.rename(bullpen.base / "away")
        event = await bullpen.until_told(past.TemplateBroken)
        assert isinstance(event, past.TemplateBroken)
        assert "the templates go on as they were read last" in event.message
        assert bullpen.row().state is InstanceState.RUNNING
        await bullpen.ask("two")
        (bullpen.base / "away").rename(bullpen.folder)
        await bullpen.until_told(past.TemplateMended)
        bullpen.save("desk", "Help in verse.")
        await bullpen.until_told(past.TemplateRolled)


async def test_an_operators_wish_to_stop_is_not_overruled_by_a_file(bullpen: Bullpen) -> None:
    path = bullpen.save("desk")
    async with bullpen.open():
        await bullpen.supervisor.drain("desk")
        await until(lambda: bullpen.row().state is InstanceState.DRAINED)
        bullpen.save("desk", "Help in verse.")
        await bullpen.until_told(past.TemplateChanged)
        assert bullpen.row().state is InstanceState.DRAINED
        path.unlink()
        await bullpen.until_told(past.InstanceClosed)


async def test_a_file_that_was_saved_while_the_supervisor_started_is_read(
    bullpen: Bullpen, monkeypatch: pytest.MonkeyPatch
) -> None:
    bullpen.save("desk")
    opening = bullpen.open()
    monkeypatch.setattr(live_templates, "PATIENCE", 0.01)
    original = Supervisor.__aenter__

    async def save_first(self: Supervisor) -> Supervisor:
        bullpen.save("desk", "Help in verse.")
        return await original(self)  # type: ignore[return-value]

    monkeypatch.setattr(Supervisor, "__aenter__", save_first)
    async with opening:
        await bullpen.until_told(past.TemplateChanged)
        assert bullpen.row().version == 2


async def test_a_file_that_cannot_be_read_is_a_broken_edit(bullpen: Bullpen) -> None:
    path = bullpen.save("desk")
    async with bullpen.open():
        path.unlink()
        os.mkfifo(path)
        await bullpen.until_told(past.TemplateBroken)
        assert bullpen.row().state is InstanceState.RUNNING


async def test_hooks_of_a_saved_template_are_those_that_fire_from_then_on(bullpen: Bullpen) -> None:
    hook = "[{name: %s, on: 'session:opened', actions: [{type: shell, command: ['true']}]}]"
    bullpen.save("desk", hooks=hook % "before")
    async with bullpen.open():
        bullpen.save("desk", hooks=hook % "after")
        bullpen.save("other", hooks=hook % "new")
        await bullpen.until_told(past.TemplateChanged)
        await bullpen.until_told(past.InstanceOpened)
        assert [row.name for row in await bullpen.supervisor.hooks()] == ["after", "new"]
        await bullpen.ask("hello")
        await until(lambda: bullpen.supervisor.automation.log.tally("after").fired)
        assert bullpen.supervisor.automation.log.tally("before").fired == 0


async def test_a_mistake_of_ours_about_one_file_ends_nothing_and_the_next_save_is_followed(
    bullpen: Bullpen, monkeypatch: pytest.MonkeyPatch
) -> None:
    bullpen.save("desk")
    async with bullpen.open():
        await until(lambda: bool(bullpen.supervisor._live and bullpen.supervisor._live._watch._stamps))
        with monkeypatch.context() as patch:

            def fail(*arguments: object) -> None:
                raise RuntimeError("nobody has thought of that")

            patch.setattr(live_templates, "as_they_run", fail)
            bullpen.save("desk", "Help in verse.")
            event = await bullpen.until_told(past.TemplateBroken)
            assert isinstance(event, past.TemplateBroken)
            assert event.message == "the templates cannot be followed, see the log: RuntimeError"
        bullpen.save("desk", "Help in prose.")
        await bullpen.until_told(past.TemplateMended)
        await bullpen.ask("one")
        assert prompt_of(bullpen.world.holder_of("one")) == "Help in prose."


async def test_a_file_that_has_not_changed_is_not_read_again(bullpen: Bullpen, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of thousands is saved."""
    read: list[str] = []
    original = live_templates.read_template

    def read_and_note(file: TemplateFile) -> TemplateReading:
        reading = original(file)
        read.append(file.shown)  # not before: what is saved below is another reading
        return reading

    monkeypatch.setattr(live_templates, "read_template", read_and_note)
    for name in ("desk", "clerk"):
        os.utime(bullpen.save(name), (1_700_000_000, 1_700_000_000))
    async with bullpen.open():
        await until(lambda: sorted(read) == ["clerk.md", "desk.md"])
        read.clear()
        bullpen.save("desk", "Help in verse.")
        await bullpen.until_told(past.TemplateChanged)
        assert set(read) == {"desk.md"}
