"""A person is removed: what was said with one user is gone from every file, and nothing of anybody else."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest

from supervisor import Cancelled, Interrupted, InvalidId, NotAccepting, Prompt, SessionKey, StateInUse, UnknownTarget
from supervisor.clock import Clock
from supervisor.engine import housekeeping
from supervisor.engine.supervisor import Supervisor
from supervisor.files.private import make_private_dir
from supervisor.files.session_files import DiskTally
from supervisor.files.user_folder import user_folder
from supervisor.journal import ClientRecord, Journal
from supervisor.recovery import forgetting
from supervisor.recovery.forgetting import forget_user
from supervisor.testing import FakeConnection, FakeWorld, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.engine.journal_stage import make_session, read
from tests.engine.test_ended_sessions import say, workspaces
from tests.waiting import until

pytestmark = pytest.mark.anyio

ANA = SessionKey("desk", "ana", "default")
ANAS, BOBS = "anas-own-words", "bobs-own-words"


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: FakeWorld) -> dict[str, str]:
    """Where the CLI of these tests keeps its files; the fake process leaves what a real one does."""
    places = {"CLAUDE_CONFIG_DIR": str(tmp_path / "claude"), "CLAUDE_CODE_TMPDIR": str(tmp_path / "scratch")}
    for name, value in places.items():
        monkeypatch.setenv(name, value)

    def answer(connection: FakeConnection, text: str) -> None:
        launch = connection.launch
        launch.workspace.mkdir(parents=True, exist_ok=True)
        (launch.workspace / "note").write_text(text)
        slug = "".join(letter if letter.isalnum() else "-" for letter in str(launch.workspace))
        folder = tmp_path / "claude" / "projects" / slug
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{launch.session_uuid}.jsonl").write_text(text)
        connection.reply(f"You said: {text}")

    world.on_prompt = answer
    return places


def find(folder: Path, word: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and word.encode() in path.read_bytes()]


async def talk(supervisor: Supervisor) -> None:
    await say(supervisor, ANAS, user="ana")
    await say(supervisor, ANAS, user="ana", session="second")
    await say(supervisor, BOBS, user="bob")


async def test_one_user_goes_from_journal_and_files_and_the_other_stays(
    start: Start, tmp_path: Path, environment: dict[str, str]
) -> None:
    async with start() as supervisor:
        await talk(supervisor)
        await supervisor.interrupt((await supervisor.submit(Prompt("desk", ANAS, user="ana"))).key)
    assert find(tmp_path, ANAS)
    before = len(find(tmp_path, BOBS))
    found = await forget_user(tmp_path / "state", "ana", environment)
    assert found.rows["sessions"] == 2
    assert (found.files, found.left) == (4, [])
    assert find(tmp_path, ANAS) == []
    assert len(find(tmp_path, BOBS)) == before
    assert len(workspaces(tmp_path)) == 1
    tables = ("sessions", "turns", "entries", "questions", "offers", "removals")
    assert [read(tmp_path / "state", f"SELECT count(*) FROM {one} WHERE user = 'ana'") for one in tables] == [
        [(0,)]
    ] * 6
    assert read(tmp_path / "state", "SELECT count(*) FROM actions WHERE target LIKE '%ana%'") == [(0,)]
    async with start() as supervisor:
        assert [row.key.user for row in (await supervisor.snapshot()).sessions] == ["bob"]


async def test_a_trial_counts_the_same_and_removes_nothing(
    start: Start, tmp_path: Path, environment: dict[str, str]
) -> None:
    async with start() as supervisor:
        await talk(supervisor)
    trial = await forget_user(tmp_path / "state", "ana", environment, is_trial=True)
    assert len(find(tmp_path, ANAS)) > 1
    done = await forget_user(tmp_path / "state", "ana", environment)
    assert (trial.rows, trial.files, trial.bytes) == (done.rows, done.files, done.bytes)
    assert (await forget_user(tmp_path / "state", "ana", environment)).is_empty


async def test_workspaces_that_outlive_their_session_go_as_well(
    start: Start, make_template: MakeTemplate, tmp_path: Path, environment: dict[str, str]
) -> None:
    async with start(make_template(workspaceTtl="none")) as supervisor:
        await supervisor.close_session(await say(supervisor, ANAS, user="ana"))
    assert len(workspaces(tmp_path)) == 1
    assert (await forget_user(tmp_path / "state", "ana", environment)).files == 1
    assert workspaces(tmp_path) == []


async def test_in_an_employees_one_conversation_the_users_own_turns_go_and_the_rest_is_said(
    start: Start, make_template: MakeTemplate, tmp_path: Path, environment: dict[str, str]
) -> None:
    async with start(make_template(archetype="employee")) as supervisor:
        await say(supervisor, ANAS, user="ana")
        key = await say(supervisor, BOBS, user="bob")
    found = await forget_user(tmp_path / "state", "ana", environment)
    assert found.shared_with == ("desk",)
    assert find(tmp_path / "state" / "journal.db", ANAS) == []
    async with start(make_template(archetype="employee")) as supervisor:
        texts = [getattr(entry, "text", "") for entry in (await supervisor.conversation(key)).read().entries]
        assert any(BOBS in text for text in texts)
        assert not any(ANAS in text for text in texts)


async def test_a_user_whose_name_is_part_of_anothers_takes_nobody_along(
    start: Start, tmp_path: Path, environment: dict[str, str]
) -> None:
    async with start() as supervisor:
        for user in ("an", "ana", "_na", "an_"):
            await say(supervisor, f"words-of-{user}-", user=user)
            await supervisor.clear_queue("desk")
    await forget_user(tmp_path / "state", "an_", environment)
    async with start() as supervisor:
        assert {row.key.user for row in (await supervisor.snapshot()).sessions} == {"an", "ana", "_na"}


async def test_it_is_refused_while_a_supervisor_holds_the_directory(
    start: Start, tmp_path: Path, environment: dict[str, str]
) -> None:
    async with start() as supervisor:
        await talk(supervisor)
        with pytest.raises(StateInUse, match="in use by bullpen pid"):
            await forget_user(tmp_path / "state", "ana", environment)
        assert len((await supervisor.snapshot()).sessions) == 3


@pytest.mark.parametrize("user", ["", "../x", "a b", "%"])
async def test_a_name_that_no_user_can_have_is_refused(tmp_path: Path, user: str) -> None:
    with pytest.raises(InvalidId):
        await forget_user(tmp_path / "state", user)
    assert not (tmp_path / "state").exists()


async def test_a_removal_that_was_cut_short_is_finished_by_the_next_start(
    start: Start, tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start() as supervisor:
        await talk(supervisor)

    def die(*_: object) -> None:
        raise RuntimeError("killed here")

    with monkeypatch.context() as patch:
        patch.setattr("supervisor.recovery.forgetting._remove", die)
        with pytest.raises(RuntimeError, match="killed here"):
            await forget_user(tmp_path / "state", "ana", environment)
    assert len(workspaces(tmp_path)) == 3
    async with start():
        pass
    assert len(workspaces(tmp_path)) == 1
    assert find(tmp_path, ANAS) == []


async def test_what_could_not_be_removed_is_said(
    start: Start, tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start() as supervisor:
        await talk(supervisor)

    def refuse(path: str, **_: int) -> None:
        raise PermissionError(1, "Operation not permitted", path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        found = await forget_user(tmp_path / "state", "ana", environment)
    assert [line for line in found.left if line.endswith("/note: Operation not permitted")]
    assert read(tmp_path / "state", "SELECT count(*) FROM removals WHERE user = 'ana'") == [(2,)]


@pytest.fixture
def left() -> Iterator[subprocess.Popen[bytes]]:
    """A process that a dead run has left behind."""
    with subprocess.Popen(["sleep", "300"]) as process:
        yield process
        process.kill()


async def test_what_still_runs_is_ended_before_anything_is_removed(
    start: Start,
    tmp_path: Path,
    environment: dict[str, str],
    left: subprocess.Popen[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would write its files again."""
    async with start() as supervisor:
        await talk(supervisor)
    mark, began = f"of-{os.getpid()}-left:desk-1", psutil.Process(left.pid).create_time()
    async with Journal.open(tmp_path / "state", clock=Clock()) as journal:
        journal.note_client(ClientRecord("desk-1", mark, left.pid, began, "", ANA))
    ends: list[int | None] = []
    remove = forgetting._remove

    def look(*arguments: Any) -> DiskTally:
        ends.append(left.poll())
        return remove(*arguments)

    monkeypatch.setattr(forgetting, "_remove", look)
    await forget_user(tmp_path / "state", "ana", environment)
    assert ends == [-signal.SIGTERM]


async def test_a_directory_that_was_never_the_sessions_own_is_left_alone(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """The conversation goes; that there is nothing else to be removed is no failure."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "plan").write_text("everybody's")
    async with Journal.open(tmp_path / "state", clock=Clock()) as journal:
        journal.sessions.keep(make_session(ANA, uuid=str(uuid4()), workspace=str(project)))
    found = await forget_user(tmp_path / "state", "ana", environment)
    assert (found.rows["sessions"], found.left) == (1, [])
    assert (project / "plan").read_text() == "everybody's"


async def test_what_is_found_again_afterwards_is_said(
    start: Start, tmp_path: Path, environment: dict[str, str]
) -> None:
    async with start() as supervisor:
        await talk(supervisor)
        uuid = next(row.session_uuid for row in (await supervisor.snapshot()).sessions if row.key.user == "ana")
    async with Journal.open(tmp_path / "state", clock=Clock()) as journal:
        journal.note_action(1.0, "note", "elsewhere", uuid)
    found = await forget_user(tmp_path / "state", "ana", environment)
    assert found.left == [f"{uuid} in {tmp_path / 'state' / 'journal.db'}"]


# While it runs


async def test_forgetting_while_it_runs_ends_and_removes_everything_of_that_user_alone(
    start: Start, make_template: MakeTemplate, tmp_path: Path, environment: dict[str, str], world: FakeWorld
) -> None:
    template = make_template(concurrency={"maxSessions": 3}, pool={"spares": 0}, workspaceTtl="none")
    async with start(template) as supervisor:
        await talk(supervisor)
        await supervisor.close_session(await say(supervisor, ANAS, user="ana", session="closed"))
        await until(lambda: len(supervisor.view.snapshot().sessions) == 3)
        answer, world.on_prompt = world.on_prompt, hold
        running = await supervisor.submit(Prompt("desk", ANAS, user="ana"))
        waiting = await supervisor.submit(Prompt("desk", ANAS, user="ana"))
        await until(lambda: world.holder_of(ANAS).is_in_turn)
        assert await supervisor.forget_user("ana") == 2
        with pytest.raises(NotAccepting, match="user ana is being forgotten"):
            await supervisor.submit(Prompt("desk", ANAS, user="ana", session="third"))
        assert isinstance(await running.outcome(), Interrupted)
        assert isinstance(await waiting.outcome(), Cancelled)
        await until(lambda: [row.key.user for row in supervisor.view.snapshot().sessions] == ["bob"])
        await until(lambda: len(workspaces(tmp_path)) == 1 and find(tmp_path, ANAS) == [])
        await until(lambda: read(tmp_path / "state", "SELECT count(*) FROM turns WHERE user = 'ana'") == [(0,)])
        world.on_prompt = answer
        await until(lambda: not supervisor._forgotten)
        await say(supervisor, "new words", user="ana")
    assert world.violations == []


async def test_a_user_that_nothing_is_known_of_is_told_so(start: Start) -> None:
    async with start() as supervisor:
        with pytest.raises(UnknownTarget, match="no session of user ana, and no file; once bullpen has stopped"):
            await supervisor.forget_user("ana")
        with pytest.raises(InvalidId):
            await supervisor.forget_user("../ana")


async def test_what_the_state_directory_holds_is_measured_and_each_sessions_part_of_it(
    start: Start, tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "MEASURING", 0.05)
    async with start() as supervisor:
        await say(supervisor, "x" * 1000, user="ana")
        await until(lambda: supervisor.view.snapshot().sessions[0].disk_bytes == 2000)
        disk = (await supervisor.snapshot()).host.disk
        assert disk is not None
        assert (disk.workspaces, disk.conversations) == (1000, 1000)
        assert disk.total >= disk.journal + disk.workspaces + disk.conversations
        assert disk.journal > 4096
        assert disk.free > 0


async def test_what_tools_keep_of_a_user_goes_as_well(start: Start, tmp_path: Path) -> None:
    """Offline, and while bullpen runs, also where the user has no session."""
    state = tmp_path / "state"

    def keep(user: str) -> Path:
        folder = make_private_dir(user_folder(state, user))
        (folder / "schedule.db").write_text("x" * 100)
        return folder

    async with start() as supervisor:
        await say(supervisor, "hello", user="ana")
        ana, ben = keep("ana"), keep("ben")
        await supervisor.forget_user("ben")
        await until(lambda: not ben.exists())
        assert ana.exists()
    trial = await forget_user(state, "ana", {"CLAUDE_CONFIG_DIR": str(tmp_path / "claude")}, is_trial=True)
    assert ana.exists()
    found = await forget_user(state, "ana", {"CLAUDE_CONFIG_DIR": str(tmp_path / "claude")})
    assert not ana.exists()
    assert (found.files, found.left) == (trial.files, [])
    assert found.files == 1
