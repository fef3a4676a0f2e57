"""The dashboard is there before its engine: what is shown, what keys do, and how either ends meanwhile."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from msgspec.structs import replace
from textual.pilot import Pilot

from supervisor import ActionTaken, BullpenError, Prompt, Refused, SessionKey, Snapshot, StateInUse
from tests.tui import stage
from tests.tui.stage import ANA
from tests.tui.stage_engine import NOW, StageEngine, StageTicket
from tests.tui.theatre import HandClock, hear_from_outside, playing, screen_text, settle
from tests.waiting import until
from tui.app import BullpenApp
from tui.cli import embedded_engine
from tui.cli.embedded_engine import EmbeddedEngine
from tui.engine_link.bridge import Work
from tui.engine_link.opening_engine import OpeningEngine
from tui.kept.drafts import DraftFile
from tui.kept.preferences import PreferenceFile
from tui.screens.dashboard.dashboard import DashboardScreen
from tui.screens.dialogs.help import HelpScreen
from tui.terminal.clipboard import CopyFile
from tui.terminal.notifications import Notices, title_of

pytestmark = pytest.mark.anyio


async def expect() -> Snapshot:
    """The names of its instances, and nothing that has happened."""
    full = await stage.busy().snapshot()
    idle = await stage.empty().snapshot()
    return replace(full, instances=idle.instances, sessions=(), clients=(), questions=())


@asynccontextmanager
async def opening(
    engine: StageEngine,
    size: tuple[int, int] = (120, 36),
    drafts: DraftFile | None = None,
    kept: PreferenceFile | None = None,
    copies: CopyFile | None = None,
) -> AsyncIterator[tuple[BullpenApp, Pilot[Any], Callable[[], Awaitable[None]]]]:
    """The app over rows that are expected, and what opens the engine behind it."""
    stands_for = OpeningEngine()
    app = BullpenApp(
        stands_for.as_engine,
        rehearsal=True,
        clock=HandClock(),
        drafts=drafts,
        kept=kept,
        copies=copies,
        expected=await expect(),
    )

    hear_from_outside(app)

    async def arrive() -> None:
        stands_for.arrive(engine)
        await app.take_over()

    async with app.run_test(size=size, notifications=True) as pilot:
        await pilot.pause()
        yield app, pilot, arrive
    assert app._exception is None


async def test_the_first_frame_has_the_names_of_the_agents_and_says_that_it_opens() -> None:
    engine = stage.busy()
    async with opening(engine) as (app, pilot, arrive):
        await until(app.painted.is_set)
        text = screen_text(app)
        assert "opening …" in text
        assert all(row.name in text for row in (await stage.empty().snapshot()).instances)
        assert not app.bridge.is_open
        assert engine.calls == []
        for unknown in ("running", "no session yet", "no client runs", "nothing has happened", "queued", "today"):
            assert unknown not in text, "nothing is told that is not known yet"

        await arrive()
        await settle(app, pilot)
        text = screen_text(app)
        assert "opening" not in text
        assert "● running" in text
        assert "queued" in text
        assert app.bridge.sessions
        assert all(one.user in text for one in app.bridge.sessions), "every session of the engine has its row"
        await until(lambda: "helpdesk" in app.bridge.limits)


async def test_an_engine_without_sessions_says_so_when_it_is_open() -> None:
    async with opening(stage.empty()) as (app, pilot, arrive):
        await arrive()
        await settle(app, pilot)
        text = screen_text(app)
        assert "no session yet: n begins one" in text
        assert "nothing has happened yet" in text


async def test_what_earlier_runs_did_is_in_the_log_once() -> None:
    engine = stage.busy()
    engine.past_events = (ActionTaken(at=NOW - 60, instance="helpdesk", verb="pause"),)
    async with opening(engine) as (app, pilot, arrive):
        dashboard = app.screen
        assert isinstance(dashboard, DashboardScreen)
        assert dashboard.log_of_events.total_count == 0
        await arrive()
        await settle(app, pilot)
        assert dashboard.log_of_events.total_count == 1


async def test_questions_that_were_open_before_ring_no_bell() -> None:
    engine = stage.asking()
    async with opening(engine) as (app, pilot, arrive):
        sent: list[str] = []
        app._notices = Notices(sent.append, terminal="xterm")
        app.flush()
        await arrive()
        await settle(app, pilot)
        assert app.bridge.questions
        assert sent == [title_of(len(app.bridge.inbox()))]


async def test_what_earlier_runs_did_is_there_once_where_the_engine_is_there_before_the_first_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A slow machine: the dashboard is made, and laid out only after that."""
    engine, stands_for, load = stage.busy(), OpeningEngine(), BullpenApp.on_load
    engine.past_events = (ActionTaken(at=NOW - 60, instance="helpdesk", verb="pause"),)

    async def load_slowly(self: BullpenApp) -> None:
        await load(self)
        stands_for.arrive(engine)
        await self.take_over()

    monkeypatch.setattr(BullpenApp, "on_load", load_slowly)
    app = BullpenApp(stands_for.as_engine, rehearsal=True, clock=HandClock(), expected=await expect())
    async with app.run_test(size=(120, 36)) as pilot:
        await settle(app, pilot)
        assert isinstance(app.screen, DashboardScreen)
        assert app.screen.log_of_events.total_count == 1
        assert "opening" not in screen_text(app)
        await until(lambda: "helpdesk" in app.bridge.limits)


async def test_keys_wait_for_the_engine_and_have_their_effect_in_order() -> None:
    engine = stage.busy()
    async with opening(engine) as (app, pilot, arrive):
        assert isinstance(app.screen, DashboardScreen)
        app.screen.instances.focus()
        await settle(app, pilot)
        await pilot.press("p", "y", "question_mark")
        await settle(app, pilot)
        assert isinstance(app.screen, DashboardScreen), "it asks from nothing that is not known yet"
        await arrive()
        await until(lambda: isinstance(app.screen, HelpScreen))
        await app.verbs.idle()
        assert [call[0] for call in engine.calls if call[0] in ("pause", "resume")] == ["pause"]
        await pilot.press("escape")
        await settle(app, pilot)
        assert all(one.user in screen_text(app) for one in app.bridge.sessions)


async def test_a_new_chat_that_is_wanted_before_is_none_of_an_earlier_run() -> None:
    engine = stage.busy()
    earlier = SessionKey("admin", "operator", "chat-1")
    engine.put(replace(engine.sessions[ANA], key=earlier, questions=(), offer=None))
    async with opening(engine) as (app, pilot, arrive):
        await pilot.press("1", "n", "enter")
        await arrive()
        await until(lambda: app._chats is not None and app.chats.panes)
        (key,) = app.chats.panes
        assert key.session.startswith("chat-")
        assert key not in app.bridge.sessions


async def test_it_can_be_left_before_the_engine_is_there() -> None:
    engine = stage.busy()
    async with opening(engine) as (app, pilot, _):
        await pilot.press("ctrl+q")
        await until(lambda: app.is_leaving)
        assert app.return_code == 0


async def test_it_is_left_at_once_whatever_was_typed_before() -> None:
    async with opening(stage.busy()) as (app, pilot, _):
        await pilot.press("n", "a", "b", "ctrl+q")
        await until(lambda: app.is_leaving)
        assert app.return_code == 0


async def test_one_that_is_refused_changes_nothing_of_what_the_first_one_remembers(tmp_path: Path) -> None:
    """R2: that another bullpen holds the state directory is found behind the first frame."""
    remembered = tmp_path / "dashboard.json"
    remembered.write_text('{"scope": "known to the first alone"}')
    copied = tmp_path / "copied.txt"
    copied.write_text("of the first")
    async with opening(stage.busy(), kept=PreferenceFile(tmp_path), copies=CopyFile(copied)) as (app, pilot, _):
        await settle(app, pilot)
        app.exit(return_code=2)
    assert copied.read_text() == "of the first"
    assert remembered.read_text() == '{"scope": "known to the first alone"}'


# The engine is slow to answer


class Mute(StageEngine):
    """Answers neither a prompt nor a pause."""

    async def submit(self, prompt: Prompt) -> StageTicket:
        self.calls.append(("submit", prompt))
        await anyio.sleep_forever()
        raise AssertionError("never")

    async def pause(self, instance: str) -> None:
        self.calls.append(("pause", instance))
        await anyio.sleep_forever()


def mute() -> Mute:
    engine = Mute()
    engine.put(*(busy := stage.busy()).instances.values(), *busy.sessions.values())
    return engine


async def test_prompts_that_the_engine_has_not_answered_are_unsent_messages_of_the_next_start(tmp_path: Path) -> None:
    """R2: those that it has answered are none."""
    drafts, engine = DraftFile(tmp_path), mute()
    async with playing(engine, drafts=drafts) as (app, pilot):
        app.open_chats([ANA])
        await settle(app, pilot)
        for words in ("one", "two"):
            await pilot.press(*words, "enter")
        await pilot.press(*"three")
        app.exit()
    assert drafts.load() == ({ANA: "one\ntwo\nthree"}, "")
    answering = stage.busy()
    async with playing(answering, drafts=drafts) as (app, pilot):
        app.open_chats([ANA])
        await settle(app, pilot)
        await pilot.press("enter")
        await app.verbs.idle()
        app.exit()
    assert [call[0] for call in answering.calls].count("submit") == 1
    assert drafts.load() == ({}, "")


async def test_what_the_engine_has_not_answered_when_it_is_left_is_told_below_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Leaving waits a moment for it, and says so; asked for twice, it is told once."""
    monkeypatch.setattr("tui.app.TOLD_WITHIN", 0.05)
    engine, ends = mute(), list[str]()
    async with playing(engine) as (app, _):
        leave = app.exit

        def note(result: int | None = None, return_code: int = 0, message: Any = None) -> None:
            ends.append(str(message))
            leave(result, return_code)

        monkeypatch.setattr(app, "exit", note)
        app.verbs.attempt(lambda: app.operations.pause("helpdesk"))
        await until(lambda: engine.calls)
        monkeypatch.setattr(app.bridge, "work", lambda *_: Work(0, 0, 0, 0, 0))
        await app.action_quit()
        await app.action_quit()
        await until(lambda: app.is_leaving)
    assert ends == ["the engine has not answered what it was told last: it may not have been done"]


# The engine that stands for another


async def test_verbs_reach_the_engine_in_the_order_in_which_they_were_called() -> None:
    engine, stands_for = stage.busy(), OpeningEngine()
    async with anyio.create_task_group() as group:
        for name in ("pause", "drain", "resume"):
            group.start_soon(getattr(stands_for.as_engine, name), "helpdesk")
            await anyio.wait_all_tasks_blocked()
        assert engine.calls == []
        stands_for.arrive(engine)
    assert [call[0] for call in engine.calls] == ["pause", "drain", "resume"]
    assert stands_for.as_engine.pause == engine.pause, "later ones go straight to it"


async def test_what_is_no_verb_is_no_verb_of_an_engine_that_is_being_opened() -> None:
    assert getattr(OpeningEngine(), "trouble", "none") == "none"


async def test_what_the_engine_refuses_is_raised_where_it_was_asked() -> None:
    class Refusing(StageEngine):
        async def pause(self, instance: str) -> None:
            raise Refused("not now")

    stands_for = OpeningEngine()
    stands_for.arrive(Refusing())
    with pytest.raises(Refused, match="not now"):
        await stands_for.as_engine.pause("helpdesk")


# The engine behind it


class Behind:
    """A supervisor as far as its life goes."""

    def __init__(self, fails: Exception | None = None, opens: bool = True) -> None:
        self._fails = fails
        self._opens = opens
        self._stopping = anyio.Event()
        self.running = anyio.Event()
        self.breaks = anyio.Event()
        self.hurried = 0
        self.told: list[str] = []

    @asynccontextmanager
    async def prepare(self) -> AsyncIterator[Any]:
        try:
            yield self
        finally:
            self.told.append("cleared")

    async def run(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        try:
            self.running.set()
            if not self._opens:
                await anyio.sleep_forever()
            if isinstance(self._fails, BullpenError):
                raise self._fails
            task_status.started()
            async with anyio.create_task_group() as group:
                group.start_soon(self._break)
                await self._stopping.wait()
                group.cancel_scope.cancel()
        finally:
            self.told.append("ended")

    async def _break(self) -> None:
        await self.breaks.wait()
        assert self._fails is not None
        raise self._fails

    async def stop(self) -> None:
        self._stopping.set()

    def hurry(self) -> None:
        self.hurried += 1


def embed(behind: Behind, failures: list[str]) -> EmbeddedEngine:
    return EmbeddedEngine(behind.prepare, on_failure=lambda: failures.append("failed"))


async def test_an_engine_is_opened_after_the_first_frame_and_ended_by_stop() -> None:
    behind, failures, painted, begun = Behind(), list[str](), anyio.Event(), list[Any]()
    engine = embed(behind, failures)

    async def begin(supervisor: Any) -> None:
        begun.append(supervisor)

    async with anyio.create_task_group() as group:
        group.start_soon(engine.run, painted, begin)
        await anyio.wait_all_tasks_blocked()
        assert (engine.prepared, behind.told) == (None, [])
        painted.set()
        with anyio.fail_after(10):
            await until(lambda: begun)
        assert engine.opened is behind
        assert not behind.told
        await engine.stop()
        assert behind.told == ["ended", "cleared"]
    assert (engine.failure, failures) == (None, [])


async def test_a_terminal_that_shows_no_frame_keeps_no_engine_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_engine, "FIRST_FRAME_WITHIN", 0.01)
    behind, begun = Behind(), anyio.Event()
    engine = embed(behind, [])

    async def begin(_: Any) -> None:
        begun.set()

    async with anyio.create_task_group() as group:
        group.start_soon(engine.run, anyio.Event(), begin)
        with anyio.fail_after(10):
            await begun.wait()
        await engine.stop()


@pytest.mark.parametrize("when", ["before it runs", "before the frame", "while it opens"])
async def test_one_that_is_not_open_yet_is_broken_off(when: str) -> None:
    behind, failures, painted = Behind(opens=False), list[str](), anyio.Event()
    engine = embed(behind, failures)

    async def begin(_: Any) -> None:
        raise AssertionError("it never opened")

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(engine.run, painted, begin)
            if when != "before it runs":
                await anyio.wait_all_tasks_blocked()
            if when == "while it opens":
                painted.set()
                await behind.running.wait()
            await engine.stop()
            assert behind.told == (["ended", "cleared"] if when == "while it opens" else [])
    assert (engine.opened, engine.failure, failures) == (None, None, [])


async def test_what_keeps_it_from_being_opened_is_told_after_all_of_it_is_gone() -> None:
    behind, failures, painted = Behind(StateInUse("in use by another")), list[str](), anyio.Event()
    engine = embed(behind, failures)
    painted.set()

    async def begin(_: Any) -> None:
        raise AssertionError("it never opened")

    await engine.run(painted, begin)
    assert isinstance(engine.failure, StateInUse)
    assert (engine.opened, failures, behind.told) == (None, ["failed"], ["ended", "cleared"])
    await engine.stop()


@pytest.mark.parametrize("where", ["in the engine", "in what begins with it"])
async def test_a_fault_of_a_running_engine_ends_it_and_is_kept(where: str) -> None:
    behind, failures, painted = Behind(ValueError("broken")), list[str](), anyio.Event()
    engine = embed(behind, failures)
    painted.set()

    async def begin(_: Any) -> None:
        if where == "in the engine":
            behind.breaks.set()
        else:
            raise ValueError("broken")

    await engine.run(painted, begin)
    assert isinstance(engine.failure, ValueError)
    assert (failures, behind.told) == (["failed"], ["ended", "cleared"])
    await engine.stop()


async def test_a_hurry_reaches_an_engine_that_is_still_being_opened() -> None:
    behind, painted = Behind(opens=False), anyio.Event()
    engine = embed(behind, [])
    engine.hurry(is_gentle=False)
    painted.set()

    async def begin(_: Any) -> None: ...

    async with anyio.create_task_group() as group:
        group.start_soon(engine.run, painted, begin)
        with anyio.fail_after(10):
            await behind.running.wait()
        engine.hurry(is_gentle=True)
        assert behind.hurried == 1
        await engine.stop()


def test_nothing_of_the_engine_is_imported_for_the_first_frame() -> None:
    """What the expected rows need is settings, templates and the contract's values."""
    code = (
        "import sys; import tui.app, tui.cli.run, tui.cli.embedded_engine, tui.cli.open_door\n"
        "from supervisor import expect_rows, load_host\n"
        "print([name for name in sys.modules if name.startswith(('supervisor.engine.supervisor', "
        "'supervisor.instance', 'supervisor.scheduling', 'supervisor.journal', 'supervisor.sessions', "
        "'supervisor.recovery', 'supervisor.gateway', 'claude_agent_sdk', 'mcp'))])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"
