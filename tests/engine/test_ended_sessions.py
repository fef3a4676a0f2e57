"""What ended sessions leave: nothing that was said, and no files but a workspace for as long as is promised."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from glob import glob
from pathlib import Path

import pytest

from supervisor import Done, Prompt, SessionKey
from supervisor.clock import Clock
from supervisor.engine.supervisor import Supervisor
from supervisor.instance import erasing
from supervisor.instance.stimuli import Tidy
from supervisor.journal import Journal
from supervisor.journal.records import ClientRecord
from supervisor.testing import FakeConnection, FakeWorld
from tests.engine.conftest import MakeTemplate, Start
from tests.engine.journal_stage import read
from tests.waiting import until

pytestmark = pytest.mark.anyio

SECRET = "the-walrus-was-paul"


class Later:
    """A wall clock that a test puts forward."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.clock = Clock(wall=lambda: time.time() + self.ahead)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The CLI's folder."""
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "claude"))
    monkeypatch.setenv("CLAUDE_CODE_TMPDIR", str(tmp_path / "scratch"))
    return tmp_path / "claude"


@pytest.fixture(autouse=True)
def leave_files(world: FakeWorld, store: Path) -> Iterator[None]:
    """What a real process leaves: its workspace, and a transcript under the name of that."""

    def answer(connection: FakeConnection, text: str) -> None:
        launch = connection.launch
        launch.workspace.mkdir(parents=True, exist_ok=True)
        (launch.workspace / "note").write_text(text)
        slug = "".join(letter if letter.isalnum() else "-" for letter in str(launch.workspace))
        folder = store / "projects" / slug
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{launch.session_uuid}.jsonl").open("a") as transcript:
            transcript.write(text)
        connection.reply(f"You said: {text}")

    world.on_prompt = answer
    yield
    assert world.violations == []


def transcripts(store: Path) -> list[Path]:
    return [Path(found) for found in glob(f"{store}/projects/*/*.jsonl")]  # `Path.glob` fails where a folder goes


def workspaces(tmp_path: Path) -> list[Path]:
    return [Path(found) for found in glob(f"{tmp_path}/state/workspaces/*/*")]


def find_words(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    except FileNotFoundError:
        return find_words(folder)  # something was removed in the middle of the look


async def say(supervisor: Supervisor, text: str = SECRET, **ids: str) -> SessionKey:
    ticket = await supervisor.submit(Prompt("desk", text, **ids))
    assert isinstance(await ticket.outcome(), Done)
    return ticket.key


async def test_closing_a_session_removes_its_transcript_and_words_at_once_and_its_workspace_later(
    start: Start, make_template: MakeTemplate, tmp_path: Path, store: Path
) -> None:
    clock = Later()
    async with start(make_template(workspaceTtl="1h"), clock=clock.clock) as supervisor:
        key = await say(supervisor)
        other = await say(supervisor, "other words", user="bob")
        assert len(transcripts(store)) == len(workspaces(tmp_path)) == 2
        await supervisor.close_session(key)
        await until(lambda: len(transcripts(store)) == 1)
        await until(lambda: find_words(tmp_path / "state" / "journal.db") == [])
        assert len(workspaces(tmp_path)) == 2
        assert (await supervisor.conversation(other)).read().entries
        await until(lambda: [r.has_files for r in supervisor._host.eraser.pending] == [False])
    clock.ahead = 3500
    async with start(make_template(workspaceTtl="1h"), clock=clock.clock) as supervisor:
        await supervisor._host.journal.flush()
        assert len(workspaces(tmp_path)) == 2
    clock.ahead = 3700
    async with start(make_template(workspaceTtl="1h"), clock=clock.clock) as supervisor:
        await until(lambda: len(workspaces(tmp_path)) == 1)
        await until(lambda: not supervisor._host.eraser.pending)
        assert (await supervisor.conversation(other)).read().entries
    assert read(tmp_path / "state", "SELECT count(*) FROM removals") == [(0,)]


async def test_no_word_of_it_stays_in_any_file_of_the_state_directory_while_bullpen_runs(
    start: Start, make_template: MakeTemplate, tmp_path: Path, store: Path
) -> None:
    """Free pages and the write-ahead log included."""
    async with start(make_template(workspaceTtl="0")) as supervisor:
        key = await say(supervisor)
        await supervisor._host.journal.flush()
        assert find_words(tmp_path)
        await supervisor.close_session(key)
        await until(lambda: find_words(tmp_path) == [])
        ((word, text),) = read(tmp_path / "state", "SELECT outcome, text FROM turns")
        assert (word, text) == ("done", ""), "how it ended stays"


async def test_a_tool_call_leaves_nothing_behind_whatever_its_template_keeps(
    start: Start, make_template: MakeTemplate, tmp_path: Path, store: Path
) -> None:
    async with start(make_template(archetype="tool", workspaceTtl="none")) as supervisor:
        await say(supervisor)
        await until(lambda: find_words(tmp_path) == [] and not workspaces(tmp_path))
    assert list((store / "projects").iterdir()) == []


async def test_who_has_no_session_any_more_has_no_place_in_the_order_of_users_either(
    start: Start, make_template: MakeTemplate
) -> None:
    """Over months of calls, each with a user of its own, nothing must grow."""
    async with start(make_template(), cleanup_interval=3600) as supervisor:
        for user in ("ana", "boris"):
            await say(supervisor, user=user)
        instance = supervisor._instances["desk"]
        instance.handle(Tidy(supervisor._host.clock.steady()))
        assert instance.turns.last_served == {"ana": 1, "boris": 2}
        await supervisor.close_session(SessionKey("desk", "ana", "default"))
        await until(lambda: len(instance.sessions) == 1)
        instance.handle(Tidy(supervisor._host.clock.steady()))
        assert instance.turns.last_served == {"boris": 2}


async def test_what_ends_with_bullpen_is_removed_before_it_has_ended(
    start: Start, make_template: MakeTemplate, tmp_path: Path, store: Path
) -> None:
    async with start(make_template(archetype="tool"), keeps_queue=False) as supervisor:
        await say(supervisor)
    assert find_words(tmp_path) == []
    assert workspaces(tmp_path) == []


async def test_a_session_that_expires_is_removed_like_one_that_is_closed(
    start: Start, make_template: MakeTemplate, tmp_path: Path, store: Path
) -> None:
    template = make_template(sessionTtl="10ms", workspaceTtl="0", pool={"idleTtl": 0})
    async with start(template):
        pass
    async with start(template) as supervisor:
        await say(supervisor)
        await until(lambda: not supervisor.view.snapshot().sessions)
        await until(lambda: find_words(tmp_path) == [] and not workspaces(tmp_path))


async def test_a_workspace_is_kept_for_ever_where_the_template_says_so(
    start: Start, make_template: MakeTemplate, tmp_path: Path, store: Path
) -> None:
    clock = Later()
    async with start(make_template(workspaceTtl="none"), clock=clock.clock) as supervisor:
        await supervisor.close_session(await say(supervisor))
        await until(lambda: not transcripts(store))
    clock.ahead = 1e9
    async with start(make_template(workspaceTtl="none"), clock=clock.clock) as supervisor:
        await supervisor._host.eraser.finish()
    assert len(workspaces(tmp_path)) == 1


async def test_a_shared_folder_is_never_removed(
    start: Start, make_template: MakeTemplate, tmp_path: Path, store: Path, world: FakeWorld
) -> None:
    shared = tmp_path / "repo"
    shared.mkdir()
    (shared / "kept").touch()
    async with start(make_template(workspace=str(shared), workspaceTtl="0")) as supervisor:
        key = await say(supervisor)
        session = supervisor._instances["desk"].sessions[key]
        session.workspace = shared
        await supervisor.close_session(key)
        await until(lambda: not supervisor.view.snapshot().sessions)
        await until(lambda: not supervisor._host.eraser.pending)
    assert (shared / "kept").exists()


async def test_a_removal_that_a_crash_cut_short_is_finished_by_the_next_start(
    start: Start, tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch, make_template: MakeTemplate
) -> None:
    from supervisor.instance.erasing import Eraser

    async def nothing(self: Eraser) -> None:
        pass

    template = make_template(workspaceTtl="0")
    with monkeypatch.context() as patch:
        patch.setattr(Eraser, "finish", nothing)
        async with start(template) as supervisor:
            await supervisor.close_session(await say(supervisor))
            await until(lambda: not supervisor.view.snapshot().sessions)
    assert len(transcripts(store)) == len(workspaces(tmp_path)) == 1
    async with start(template):
        await until(lambda: not transcripts(store) and not workspaces(tmp_path))


async def test_a_conversation_that_goes_on_in_another_client_stays(
    start: Start, make_template: MakeTemplate, tmp_path: Path, store: Path
) -> None:
    async with start(make_template(workspaceTtl="0")) as supervisor:
        key = await say(supervisor)
        before = transcripts(store)
        await supervisor.hibernate(key)
        await until(lambda: not supervisor.view.snapshot().clients)
        await say(supervisor, "and again")
        assert not supervisor._host.eraser.pending
    assert transcripts(store) == before


async def test_a_spare_that_nobody_used_takes_its_workspace_along(
    start: Start, make_template: MakeTemplate, tmp_path: Path, world: FakeWorld
) -> None:
    async with start(make_template(pool={"spares": 1}, concurrency={"maxSessions": 2})):
        await until(lambda: world.live)
        world.live[0].launch.workspace.mkdir(parents=True)
    assert workspaces(tmp_path) == []


async def test_a_spare_of_a_killed_run_leaves_nothing(start: Start, tmp_path: Path) -> None:
    uuid = "0d7a4a0e-0000-4000-8000-000000000000"
    async with Journal.open(tmp_path / "state", clock=Clock()) as journal:
        journal.note_client(ClientRecord("desk-1", "mark", 0, 0.0, uuid, None))
    (tmp_path / "state" / "workspaces" / "desk" / uuid).mkdir(parents=True)
    async with start():
        await until(lambda: not workspaces(tmp_path))


async def test_workspaces_that_no_session_knows_are_swept_once_they_are_old_enough(
    start: Start, make_template: MakeTemplate, tmp_path: Path
) -> None:
    async with start():
        pass
    for instance in ("desk", "gone"):
        (tmp_path / "state" / "workspaces" / instance / "0d7a4a0e-0000-4000-8000-000000000000").mkdir(parents=True)
    clock = Later()
    clock.ahead = 6.9 * 86400
    async with start(make_template(), clock=clock.clock) as supervisor:
        await supervisor._host.eraser.sweep({"desk": 7 * 86400.0})
        assert len(workspaces(tmp_path)) == 2
    clock.ahead = 7.1 * 86400
    async with start(make_template(), clock=clock.clock) as supervisor:
        await until(lambda: len(workspaces(tmp_path)) == 1)
    assert workspaces(tmp_path)[0].parent.name == "gone", "of an agent that this start does not have"


async def test_what_a_session_uses_is_never_removed_even_by_a_mistaken_note(
    start: Start, tmp_path: Path, store: Path
) -> None:
    async with start() as supervisor:
        key = await say(supervisor)
        session = supervisor._instances["desk"].sessions[key]
        assert session.workspace is not None
        supervisor._host.eraser.discard(key, session.uuid, session.workspace, 0.0)
        await until(lambda: read(tmp_path / "state", "SELECT count(*) FROM removals") == [(0,)])
        assert len(transcripts(store)) == len(workspaces(tmp_path)) == 1


async def test_what_could_not_be_removed_is_told_and_tried_again(
    start: Start, make_template: MakeTemplate, tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = os.unlink

    def refuse(path: str, **where: int) -> None:
        if path == "note":
            raise PermissionError(1, "Operation not permitted", path)
        unlink(path, **where)

    clock = Later()
    monkeypatch.setattr(erasing, "LONGEST_WAIT", 0.05)
    async with start(make_template(workspaceTtl="0"), clock=clock.clock) as supervisor:
        key = await say(supervisor)
        with monkeypatch.context() as patch:
            patch.setattr(os, "unlink", refuse)
            await supervisor.close_session(key)
            await until(lambda: supervisor._host.eraser.failed)
        (failure,) = supervisor._host.eraser.failed
        assert failure.endswith("/note: Operation not permitted")
        clock.ahead = 3601
        await until(lambda: not workspaces(tmp_path))
        await until(lambda: not supervisor._host.eraser.failed)


async def test_a_conversation_that_got_lost_takes_its_workspace_along_in_time(
    start: Start, make_template: MakeTemplate, tmp_path: Path, store: Path, world: FakeWorld
) -> None:
    """The session goes on in another one."""
    template = make_template(workspaceTtl="0", pool={"idleTtl": 0})
    async with start(template) as supervisor:
        key = await say(supervisor)
        (before,) = workspaces(tmp_path)
    world.transcripts.clear()
    async with start(template) as supervisor:
        await say(supervisor, "again")
        await until(lambda: workspaces(tmp_path) and before not in workspaces(tmp_path))
        assert find_words(store) == []
        assert (await supervisor.conversation(key)).read().entries
