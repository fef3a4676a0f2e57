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
from supervisor.testing import FakeConnection, FakeWorld, hold
from supervisor.testing.fake import FakeConnector
from tests.waiting import until

pytestmark = pytest.mark.anyio

ANA = SessionKey("desk", "ana", "default")


class House:
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
    async def open(self, **host: object) -> AsyncIterator[House]:
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
def house(tmp_path: Path, world: FakeWorld) -> House:
    return House(tmp_path, world)


def prompt_of(connection: FakeConnection) -> str:
    assert connection.template is not None
    return connection.template.system_prompt


async def test_a_saved_template_reaches_an_idle_session_at_its_next_turn(house: House) -> None:
    """S3.1-2: prompt and tools together, the history kept."""
    house.save("desk", tools="Read")
    async with house.open():
        await house.ask("one")
        house.save("desk", "Help in verse.", tools="Read, Grep")
        event = await house.until_told(past.TemplateChanged)
        assert isinstance(event, past.TemplateChanged)
        assert (event.instance, set(event.changed), event.clients) == ("desk", {"prompt", "tools"}, 1)
        rolled = await house.until_told(past.TemplateRolled)
        assert isinstance(rolled, past.TemplateRolled)
        assert rolled.clients == 1
        await house.ask("two")
        holder = house.world.holder_of("two")
        assert (prompt_of(holder), holder.template and holder.template.tools) == ("Help in verse.", ("Read", "Grep"))
        assert holder.remembers == ["one", "two"]
        assert (house.row().version, house.row().outdated) == (2, 0)


async def test_how_far_a_roll_has_come_and_what_still_runs_the_earlier_version_is_shown(house: House) -> None:
    """S3.1-2: drift."""
    house.save("desk", concurrency="{maxSessions: 3}")
    async with house.open():
        house.world.on_prompt = hold
        tickets = [await house.supervisor.submit(Prompt("desk", f"{user}?", user=user)) for user in ("a", "b", "c")]
        await until(lambda: len(house.world.written) == 3)
        house.feed.take()
        house.save("desk", "Help in verse.", concurrency="{maxSessions: 3}")
        await until(lambda: house.row().outdated == 3)
        assert [row.is_outdated for row in house.feed.take().clients] == [True] * 3
        assert (house.row().outdated, house.row().rolled, house.row().to_roll) == (3, 0, 3)
        assert house.row().note == "rolled 0 of 3"
        assert [row.is_outdated for row in house.supervisor.view.snapshot().clients] == [True] * 3
        house.world.holder_of("a?").reply("done")
        await tickets[0].outcome()
        await until(lambda: house.row().rolled == 1)
        assert (house.row().outdated, house.row().note) == (2, "rolled 1 of 3")
        house.supervisor._instances["desk"].rollout.judge()  # as where other options are wanted of one of them
        assert (house.row().outdated, house.row().note) == (2, "rolled 1 of 3")
        for user in "bc":
            house.world.holder_of(f"{user}?").reply("done")
        await house.until_told(past.TemplateRolled)
        assert (house.row().outdated, house.row().note) == (0, "")


@pytest.mark.parametrize(
    ("before", "after"),
    [({"tools": "Read"}, {"tools": "''"}), ({"skills": "[pdf]"}, {}), ({"tools": "''"}, {})],
    ids=["the last tool", "the last skill", "no tool and all tools"],
)
async def test_removing_the_last_one_is_a_change(house: House, before: dict[str, str], after: dict[str, str]) -> None:
    """S4.24: an empty set is a value and not "do not care"."""
    house.save("desk", **before)
    async with house.open():
        await house.ask("one")
        house.save("desk", **after)
        await house.until_told(past.TemplateRolled)


async def test_a_change_of_limits_alone_rolls_nothing_and_leaves_an_operators_change(house: House) -> None:
    house.save("desk", concurrency="{maxSessions: 2}")
    async with house.open():
        await house.ask("one")
        await house.supervisor.adjust("desk", "idleTtl", "77s")
        house.save("desk", concurrency="{maxSessions: 5}", questionTtl="9s")
        event = await house.until_told(past.TemplateChanged)
        assert isinstance(event, past.TemplateChanged)
        assert (set(event.changed), event.clients) == ({"concurrency", "questionTtl"}, 0)
        limits = await house.supervisor.limits("desk")
        wanted = ("concurrency.maxSessions", "questionTtl", "pool.idleTtl")
        assert [limits[name] for name in wanted] == ["5", "9s", "77s"]
        assert (house.row().version, len(house.world.connections)) == (1, 1)
        # What the file says anew about that limit is stronger again.
        house.save("desk", concurrency="{maxSessions: 5}", questionTtl="9s", pool="{spares: 0, idleTtl: 5s}")
        await house.until_told(past.TemplateChanged, 2)
        assert (await house.supervisor.limits("desk"))["pool.idleTtl"] == "5s"


async def test_a_broken_edit_keeps_the_last_good_version_and_says_where_it_is_broken(house: House) -> None:
    path = house.save("desk")
    async with house.open():
        await house.ask("one")
        house.save("desk", "Help in verse.", maxTurns="no")
        event = await house.until_told(past.TemplateBroken)
        line = "desk.md:5: maxTurns must be a whole number, not 'no'"
        assert isinstance(event, past.TemplateBroken)
        assert event.message == f"{line} (the version before goes on)"
        assert (house.row().template_mistake, house.row().note) == (line, line)
        assert house.supervisor.view.host_row().left_out == (event.message,)
        await house.ask("two")
        assert prompt_of(house.world.holder_of("two")) == "Help."
        for text in ("", "---\nname: [", "---\nname: 7a\ndescription: x\n---\nx\0"):
            path.write_text(text, encoding="utf-8")
            count = len(house.told(past.TemplateBroken))
            await house.until_told(past.TemplateBroken, count + 1)
            assert house.row().state is InstanceState.RUNNING
            assert house.row().template_mistake.startswith("desk.md:")
        house.save("desk", "Help in prose.")
        await house.until_told(past.TemplateMended)
        await house.ask("three")
        assert prompt_of(house.world.holder_of("three")) == "Help in prose."
        assert (house.row().template_mistake, house.supervisor.view.host_row().left_out) == ("", ())


async def test_a_removed_template_drains_its_instance_which_is_gone_when_it_is_empty(house: House) -> None:
    path = house.save("desk")
    house.save("clerk")
    async with house.open():
        house.world.on_prompt = hold
        ticket = await house.supervisor.submit(Prompt("desk", "one", user="ana"))
        await until(lambda: bool(house.world.written))
        path.unlink()
        await until(lambda: house.row().is_removed)
        assert house.row().state is InstanceState.DRAINING
        assert house.row().note.startswith("its template was removed, desk/ana/default still works")
        with pytest.raises(NotAccepting):
            await house.supervisor.submit(Prompt("desk", "no", user="ben"))
        with pytest.raises(Refused, match=r"put desk\.md back"):
            await house.supervisor.resume("desk")
        house.world.holder_of("one").reply("done")
        assert isinstance(await ticket.outcome(), Done), "nothing is interrupted because of it"
        await house.until_told(past.InstanceClosed)
        snapshot = house.supervisor.view.snapshot()
        assert [row.name for row in snapshot.instances] == ["clerk"]
        assert (snapshot.sessions, snapshot.clients) == ((), ())
        with pytest.raises(UnknownAgent):
            await house.supervisor.submit(Prompt("desk", "no", user="ben"))
        # It comes back: so do its sessions, and what was said in them.
        house.world.on_prompt = lambda connection, text: connection.reply("yes")
        house.save("desk", "Help in verse.")
        await house.until_told(past.InstanceOpened)
        assert [row.key for row in house.supervisor.view.snapshot().sessions] == [ANA]
        await house.ask("two")
        assert house.world.holder_of("two").remembers == ["one", "two"]


async def test_what_a_restart_interrupted_is_on_offer_again_when_its_instance_is(house: House) -> None:
    """R2, S3.2: while it is gone nothing is decided, and nothing of it is lost."""
    path = house.save("desk")
    house.save("clerk")
    house.world.on_prompt = hold
    async with house.open():
        await house.supervisor.submit(Prompt("desk", "one", user="ana"))
        await until(lambda: bool(house.world.written))
    async with house.open():
        path.unlink()
        await house.until_told(past.InstanceClosed)
        assert house.supervisor.view.snapshot().sessions == ()
        house.save("desk")
        await house.until_told(past.InstanceOpened)
        (row,) = house.supervisor.view.snapshot().sessions
        assert row.offer is not None
        assert row.offer.text == "one"
        await house.supervisor.drop_offer(ANA)
        assert house.supervisor.failure is None


async def test_a_template_that_is_put_back_before_its_instance_is_empty_resumes_it(house: House) -> None:
    path = house.save("desk")
    async with house.open():
        house.world.on_prompt = hold
        await house.supervisor.submit(Prompt("desk", "one", user="ana"))
        await until(lambda: bool(house.world.written))
        path.rename(house.base / "aside.md")
        await until(lambda: house.row().state is InstanceState.DRAINING)
        (house.base / "aside.md").rename(path)
        await until(lambda: house.row().state is InstanceState.RUNNING)
        assert not house.row().is_removed
        house.world.holder_of("one").reply("done")


async def test_a_paused_instance_is_paused_again_when_its_template_is_back(house: House) -> None:
    path = house.save("desk")
    async with house.open():
        house.world.on_prompt = hold
        await house.supervisor.submit(Prompt("desk", "one", user="ana"))
        await until(lambda: bool(house.world.written))
        await house.supervisor.pause("desk")
        path.rename(house.base / "aside.md")
        await until(lambda: house.row().state is InstanceState.DRAINING)
        (house.base / "aside.md").rename(path)
        await until(lambda: house.row().state is InstanceState.PAUSED)
        house.world.holder_of("one").reply("done")


async def test_a_new_file_opens_an_instance_and_another_name_in_a_file_is_another_instance(house: House) -> None:
    house.save("desk")
    async with house.open():
        house.save("clerk")
        event = await house.until_told(past.InstanceOpened)
        assert event.instance == "clerk"
        await house.ask("hello", "clerk")
        house.save("secretary", file="clerk.md")
        await house.until_told(past.InstanceClosed)
        assert [row.name for row in house.supervisor.view.snapshot().instances] == ["desk", "secretary"]


def rename_over(house: House) -> None:
    """As editors save: a new file takes the old one's name."""
    fresh = house.save("desk", "Help in verse.", file="desk.md~")
    fresh.rename(house.folder / "desk.md")


def replace_folder(house: House) -> None:
    """As a deployment does."""
    other = house.base / "other"
    shutil.copytree(house.folder, other)
    old, house.folder = house.folder, other
    house.save("desk", "Help in verse.")
    house.folder = old
    old.rename(house.base / "old")
    other.rename(old)


def delete_and_write(house: House) -> None:
    (house.folder / "desk.md").unlink()
    house.save("desk", "Help in verse.")


def edit_behind_a_link(house: House) -> None:
    path = house.folder / "desk.md"
    path.rename(house.base / "elsewhere.md")
    path.symlink_to(house.base / "elsewhere.md")


def save_in_place(house: House) -> None:
    house.save("desk", "Help in verse.")


@pytest.mark.parametrize("is_watched", [True, False], ids=["watched", "looked at"])
@pytest.mark.parametrize("save", [save_in_place, rename_over, replace_folder, delete_and_write])
async def test_however_it_is_saved_it_is_noticed(
    house: House, save: Callable[[House], None], is_watched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3.1-2: also where the system does not tell of changes."""
    if not is_watched:

        def refuse(*paths: str, **options: object) -> None:
            raise OSError("OS file watch limit reached")

        monkeypatch.setattr("watchfiles.awatch", refuse)
    house.save("desk")
    async with house.open():
        await house.ask("one")
        save(house)
        await house.until_told(past.TemplateRolled)
        assert prompt_of(house.world.live[0]) == "Help in verse."
        house.save("desk", "Help in prose.")  # what is there now is followed as well
        await house.until_told(past.TemplateRolled, 2)
        assert prompt_of(house.world.live[0]) == "Help in prose."
        assert house.told(past.InstanceClosed) == []


async def test_what_a_link_leads_to_is_followed(house: House) -> None:
    house.save("desk")
    edit_behind_a_link(house)
    async with house.open():
        await house.ask("one")
        target = house.base / "elsewhere.md"
        target.write_text(target.read_text("utf-8").replace("Help.", "Help in verse."), "utf-8")
        await house.until_told(past.TemplateRolled)
        assert prompt_of(house.world.live[0]) == "Help in verse."


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
    house: House, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S4.25"""
    file = house.folder / way
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("old", "utf-8")
    monkeypatch.setattr(house.world, "connect", lambda template: Made(house.world, template, file))
    house.save("desk", skills="[pdf]", env="{KEY: 'file:secret.txt'}" if way == "secret.txt" else "{}")
    async with house.open():
        await house.ask("one")
        await until(lambda: bool(house.supervisor._live and house.supervisor._live._watch._stamps))
        file.write_text("new", "utf-8")
        event = await house.until_told(past.TemplateChanged)
        assert isinstance(event, past.TemplateChanged)
        assert event.clients == 1
        await house.until_told(past.TemplateRolled)


async def test_a_folder_that_is_gone_changes_nothing_until_it_is_back(house: House) -> None:
    house.save("desk")
    async with house.open():
        await house.ask("one")
        house.folder.rename(house.base / "away")
        event = await house.until_told(past.TemplateBroken)
        assert isinstance(event, past.TemplateBroken)
        assert "the templates go on as they were read last" in event.message
        assert house.row().state is InstanceState.RUNNING
        await house.ask("two")
        (house.base / "away").rename(house.folder)
        await house.until_told(past.TemplateMended)
        house.save("desk", "Help in verse.")
        await house.until_told(past.TemplateRolled)


async def test_an_operators_wish_to_stop_is_not_overruled_by_a_file(house: House) -> None:
    path = house.save("desk")
    async with house.open():
        await house.supervisor.drain("desk")
        await until(lambda: house.row().state is InstanceState.DRAINED)
        house.save("desk", "Help in verse.")
        await house.until_told(past.TemplateChanged)
        assert house.row().state is InstanceState.DRAINED
        path.unlink()
        await house.until_told(past.InstanceClosed)


async def test_a_file_that_was_saved_while_the_supervisor_started_is_read(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.save("desk")
    opening = house.open()
    monkeypatch.setattr(live_templates, "PATIENCE", 0.01)
    original = Supervisor.__aenter__

    async def save_first(self: Supervisor) -> Supervisor:
        house.save("desk", "Help in verse.")
        return await original(self)  # type: ignore[return-value]

    monkeypatch.setattr(Supervisor, "__aenter__", save_first)
    async with opening:
        await house.until_told(past.TemplateChanged)
        assert house.row().version == 2


async def test_a_file_that_cannot_be_read_is_a_broken_edit(house: House) -> None:
    path = house.save("desk")
    async with house.open():
        path.unlink()
        os.mkfifo(path)
        await house.until_told(past.TemplateBroken)
        assert house.row().state is InstanceState.RUNNING


async def test_hooks_of_a_saved_template_are_those_that_fire_from_then_on(house: House) -> None:
    hook = "[{name: %s, on: 'session:opened', actions: [{type: shell, command: ['true']}]}]"
    house.save("desk", hooks=hook % "before")
    async with house.open():
        house.save("desk", hooks=hook % "after")
        house.save("other", hooks=hook % "new")
        await house.until_told(past.TemplateChanged)
        await house.until_told(past.InstanceOpened)
        assert [row.name for row in await house.supervisor.hooks()] == ["after", "new"]
        await house.ask("hello")
        await until(lambda: house.supervisor.automation.log.tally("after").fired)
        assert house.supervisor.automation.log.tally("before").fired == 0


async def test_a_mistake_of_ours_about_one_file_ends_nothing_and_the_next_save_is_followed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.save("desk")
    async with house.open():
        await until(lambda: bool(house.supervisor._live and house.supervisor._live._watch._stamps))
        with monkeypatch.context() as patch:

            def fail(*arguments: object) -> None:
                raise RuntimeError("nobody has thought of that")

            patch.setattr(live_templates, "as_they_run", fail)
            house.save("desk", "Help in verse.")
            event = await house.until_told(past.TemplateBroken)
            assert isinstance(event, past.TemplateBroken)
            assert event.message == "the templates cannot be followed, see the log: RuntimeError"
        house.save("desk", "Help in prose.")
        await house.until_told(past.TemplateMended)
        await house.ask("one")
        assert prompt_of(house.world.holder_of("one")) == "Help in prose."


async def test_a_file_that_has_not_changed_is_not_read_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of thousands is saved."""
    read: list[str] = []
    original = live_templates.read_template

    def read_and_note(file: TemplateFile) -> TemplateReading:
        reading = original(file)
        read.append(file.shown)  # not before: what is saved below is another reading
        return reading

    monkeypatch.setattr(live_templates, "read_template", read_and_note)
    for name in ("desk", "clerk"):
        os.utime(house.save(name), (1_700_000_000, 1_700_000_000))
    async with house.open():
        await until(lambda: sorted(read) == ["clerk.md", "desk.md"])
        read.clear()
        house.save("desk", "Help in verse.")
        await house.until_told(past.TemplateChanged)
        assert set(read) == {"desk.md"}
