"""A state directory that is taken away while it is used, and one that is not what it was when the next run starts."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from supervisor import Done, JournalFailed, JournalUnusable, Prompt, StateInUse
from supervisor.api.states import WhyWaiting
from supervisor.clock import Clock
from supervisor.journal import Journal, examine_journal, lock
from supervisor.journal import guard as guarding
from supervisor.journal import writer as writing
from supervisor.journal.records import TURN_COLUMNS, SessionRecord, session_to_row, turn_to_row
from supervisor.journal.schema import MIGRATIONS, prepare
from tests.engine.conftest import Start
from tests.engine.journal_stage import KEY, accept, asked, make_turn, opened, read
from tests.waiting import until

pytestmark = pytest.mark.anyio


def delete(folder: Path) -> None:
    shutil.rmtree(folder)


def delete_and_make_again(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def move(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))


def copy_in_place(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))
    shutil.copytree(folder.with_name("moved"), folder)


def delete_journal(folder: Path) -> None:
    (folder / "journal.db").unlink()


def replace_journal(folder: Path) -> None:
    shutil.copy(folder / "journal.db", folder / "copy")
    (folder / "copy").rename(folder / "journal.db")


def delete_log(folder: Path) -> None:
    (folder / "journal.db-wal").unlink()


def delete_shared_memory(folder: Path) -> None:
    (folder / "journal.db-shm").unlink()


def delete_lock(folder: Path) -> None:
    (folder / lock.FILE).unlink()


LOSSES = {
    delete: "its folder has been moved or deleted",
    delete_and_make_again: "another folder stands in the place of its own",
    move: "its folder has been moved or deleted",
    copy_in_place: "another folder stands in the place of its own",
    delete_journal: "its file has been moved or deleted",
    replace_journal: "another file stands in the place of its own",
    delete_log: "its file has been moved or deleted",
    delete_shared_memory: "its file has been moved or deleted",
    delete_lock: "the lock of its folder has been moved, deleted or replaced",
}


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
async def test_a_prompt_is_not_accepted_into_files_that_the_next_run_does_not_find(
    folder: Path, loss: Callable[[Path], None]
) -> None:
    async with opened(folder) as journal:
        assert await accept(journal, make_turn("before")) is None
        loss(folder)
        error = await accept(journal, make_turn("after"))
        assert isinstance(error, JournalFailed)
        assert f"the journal cannot be written ({LOSSES[loss]}): " in str(error)
        assert "\n" not in str(error)
        assert journal.failing == LOSSES[loss]
        assert await journal.find_turn("after") is None
        journal._writer._notes.clear()


def lose_keeping_times(folder: Path, loss: Callable[[Path], None]) -> None:
    before = folder.stat()
    loss(folder)
    if folder.exists():
        os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))


def let_the_disks_clock_go_on(folder: Path) -> None:
    """What is changed in the folder after that is changed at another time, as the disk tells it."""
    probe = folder.with_name("probe")
    probe.touch()
    while probe.stat().st_ctime_ns <= folder.stat().st_ctime_ns:
        probe.touch()


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
async def test_it_is_noticed_also_where_a_folder_that_has_not_changed_is_not_looked_through(
    folder: Path, loss: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the time of the folder's modification is set back, as by a copy that keeps times."""
    looked_at: list[str] = []
    identify = guarding._identify
    monkeypatch.setattr(guarding, "SETTLED", -1)
    monkeypatch.setattr(guarding, "_identify", lambda path: looked_at.append(path) or identify(path))
    async with opened(folder) as journal:
        assert await accept(journal, make_turn("first")) is None
        looked_at.clear()
        assert await accept(journal, make_turn("before")) is None
        assert looked_at == []
        let_the_disks_clock_go_on(folder)
        lose_keeping_times(folder, loss)
        assert isinstance(await accept(journal, make_turn("after")), JournalFailed)
        assert journal.failing == LOSSES[loss]
        journal._writer._notes.clear()


async def test_a_folder_that_has_just_changed_is_looked_through_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a tick of the disk's clock a second change does not show in the folder's time; nor does a mount, which the
    look of each second finds."""
    looked_at: list[str] = []
    identify = guarding._identify
    monkeypatch.setattr(guarding, "SETTLED", 1e9)
    monkeypatch.setattr(guarding, "_identify", lambda path: looked_at.append(path) or identify(path))
    async with opened(folder) as journal:
        for name in ("first", "second"):
            looked_at.clear()
            assert await accept(journal, make_turn(name)) is None
            assert {Path(path).name for path in looked_at} >= {"journal.db", "journal.db-wal", lock.FILE}
        monkeypatch.setattr(guarding, "SETTLED", -1)
        assert await accept(journal, make_turn("third")) is None
        looked_at.clear()
        await journal.verify()
        assert {Path(path).name for path in looked_at} >= {"journal.db", "journal.db-wal", lock.FILE}


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
async def test_it_is_noticed_while_nobody_sends_a_prompt(
    start: Start, tmp_path: Path, loss: Callable[[Path], None]
) -> None:
    async with start() as supervisor:
        assert not (await supervisor.snapshot()).host.journal_failing
        loss(tmp_path / "state")
        await until(lambda: supervisor.view.snapshot().host.journal_failing == LOSSES[loss])


async def test_it_is_noticed_by_looking_where_nothing_at_all_is_written(folder: Path) -> None:
    async with opened(folder) as journal:
        assert await accept(journal, make_turn("accepted")) is None
        await journal.flush()
        move(folder)
        await journal.verify()
        await until(lambda: journal.failing)
        folder.with_name("moved").rename(folder)


async def test_a_directory_that_is_moved_back_is_used_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "FIRST_DELAY", 0.01)
    async with opened(folder) as journal:
        move(folder)
        assert await accept(journal, make_turn("refused")) is not None
        journal.sessions.add_entry(KEY, asked("kept"))
        folder.with_name("moved").rename(folder)
        await until(lambda: not journal.failing)
        assert await accept(journal, make_turn("accepted")) is None
    assert read(folder, "SELECT id FROM turns") == [("accepted",)]
    assert read(folder, "SELECT count(*) FROM entries") == [(1,)]


async def test_a_turn_that_waits_then_says_disk_and_the_caller_is_told(start: Start, tmp_path: Path) -> None:
    async with start() as supervisor:
        assert isinstance(await (await supervisor.submit(Prompt("desk", "one"))).outcome(), Done)
        await supervisor.pause("desk")
        waiting = await supervisor.submit(Prompt("desk", "two"))
        await waiting.accepted()
        move(tmp_path / "state")
        with pytest.raises(JournalFailed, match="moved or deleted"):
            await (await supervisor.submit(Prompt("desk", "three"))).accepted()
        await supervisor.resume("desk")
        await until(lambda: supervisor.view.snapshot().sessions[0].why is WhyWaiting.DISK)
        (tmp_path / "moved").rename(tmp_path / "state")
        with anyio.fail_after(10):
            assert isinstance(await waiting.outcome(), Done)


@pytest.mark.skipif(not Path("/proc/self/ns/mnt").exists(), reason="the path is held on Linux only")
@pytest.mark.parametrize("loss", [delete, delete_and_make_again, move, copy_in_place, delete_lock])
async def test_a_second_one_is_not_let_in_while_the_first_lives(folder: Path, loss: Callable[[Path], None]) -> None:
    async with opened(folder) as journal:
        await journal.flush()
        loss(folder)
        with pytest.raises(
            StateInUse, match=rf"was deleted or replaced while bullpen pid {os.getpid()} runs on it: stop"
        ):
            async with Journal.open(folder, clock=Clock()):
                pass
    if not (folder / "journal.db").exists():
        return
    async with opened(folder):
        pass


# At the start


async def use(folder: Path) -> None:
    async with opened(folder) as journal:
        assert await accept(journal, make_turn("a")) is None


def truncate(folder: Path) -> None:
    (folder / "journal.db").write_bytes(b"")


def cut_in_half(folder: Path) -> None:
    path = folder / "journal.db"
    os.truncate(path, path.stat().st_size // 2)


def empty_database(folder: Path) -> None:
    (folder / "journal.db").unlink()
    with closing(sqlite3.connect(folder / "journal.db")) as connection:
        connection.execute("VACUUM")


def other_journal(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "journal.db")) as connection, connection:
        connection.execute("UPDATE identity SET id = 'other'")


def older_copy(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "journal.db")) as connection, connection:
        connection.execute("UPDATE identity SET commits = commits - 1")


def without_a_table(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "journal.db")) as connection, connection:
        connection.execute("DROP TABLE offers")


def without_identity(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "journal.db")) as connection, connection:
        connection.execute("DELETE FROM identity")


BROKEN = {
    delete_journal: "is missing, but .* was used before: restore it, or move .* away to begin anew; nothing was",
    truncate: "is empty, but .* was used before: restore it, or move .* away to begin anew; nothing was changed",
    cut_in_half: "malformed",
    empty_database: "is not the journal that .* was last used with: put that one back, or remove .*supervisor.lock",
    other_journal: "is not the journal that .* was last used with: put that one back, or remove .*supervisor.lock",
    older_copy: "lacks the last 1 writes of an earlier run .*: restore them, or remove .*supervisor.lock",
    without_a_table: "has no table offers",
    without_identity: "its identity is missing",
}


@pytest.mark.parametrize("harm", BROKEN, ids=lambda harm: harm.__name__)
async def test_a_journal_that_is_not_what_it_was_is_refused_and_left(
    folder: Path, harm: Callable[[Path], None]
) -> None:
    await use(folder)
    harm(folder)
    before = (folder / "journal.db").read_bytes() if (folder / "journal.db").exists() else None
    for look in (use, lambda path: anyio.to_thread.run_sync(examine_journal, path, Clock())):
        with pytest.raises(JournalUnusable, match=BROKEN[harm]) as raised:
            await look(folder)
        assert "\n" not in str(raised.value)
    assert before == ((folder / "journal.db").read_bytes() if (folder / "journal.db").exists() else None)


@pytest.mark.parametrize("harm", [delete_journal, truncate])
async def test_workspaces_alone_say_that_there_was_a_journal(folder: Path, harm: Callable[[Path], None]) -> None:
    await use(folder)
    (folder / lock.FILE).unlink()
    (folder / "workspaces" / "desk" / "one").mkdir(parents=True)
    harm(folder)
    with pytest.raises(JournalUnusable, match="was used before"):
        await use(folder)


async def test_the_locks_file_counts_every_commit_beside_what_it_says_of_the_holder(folder: Path) -> None:
    """Also a name with the sign that its number is put in by."""
    async with Journal.open(folder, clock=Clock(), name="100% %d") as journal:
        for name in "ab":
            assert await accept(journal, make_turn(name)) is None
            said = json.loads((folder / lock.FILE).read_bytes())
            assert said["what"] == "100% %d"
            assert said["pid"] == os.getpid()
            assert [(said["journal"], said["commits"])] == read(folder, "SELECT id, commits FROM identity")
    said = json.loads((folder / lock.FILE).read_bytes())
    assert [tuple(said.values())] == read(folder, "SELECT id, commits FROM identity")


async def test_the_commits_of_a_killed_run_that_were_in_a_lost_log_are_missed(folder: Path, tmp_path: Path) -> None:
    """SQLite itself takes a file without its log for whole."""
    async with opened(folder) as journal:
        assert await accept(journal, make_turn("a")) is None
        shutil.copytree(folder, tmp_path / "killed")
    (tmp_path / "killed" / "journal.db-wal").unlink()
    with pytest.raises(JournalUnusable, match=r"lacks the last 1 writes .* or journal.db-wal is missing"):
        await use(tmp_path / "killed")
    (tmp_path / "killed" / lock.FILE).unlink()
    await use(tmp_path / "killed")


async def test_a_killed_run_whose_log_is_there_loses_nothing(folder: Path, tmp_path: Path) -> None:
    async with opened(folder) as journal:
        for name in "abc":
            assert await accept(journal, make_turn(name)) is None
        shutil.copytree(folder, tmp_path / "killed")
    async with opened(tmp_path / "killed") as journal:
        assert [turn.id for turn in (await journal.load()).waiting] == ["a", "b", "c"]


async def test_a_directory_of_an_earlier_version_is_taken_over(tmp_path: Path) -> None:
    """Its lock says nothing of a journal, and its journal nothing of itself."""
    (tmp_path / lock.FILE).touch()
    prepare(tmp_path / "journal.db", MIGRATIONS[:1])
    columns = TURN_COLUMNS.split(", ")
    columns = columns[: columns.index("request")]  # there was none, nor what came after it
    row = turn_to_row(make_turn("a"))[: len(columns)]
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection, connection:
        marks = ", ".join("?" for _ in row)
        connection.execute(f"INSERT INTO turns ({', '.join(columns)}) VALUES ({marks})", row)
        # It had `is_offered` where `cost_saved` stands now.
        session = (*session_to_row(SessionRecord(KEY, 1.0, 2.0, cost_seen=0.5, note="kept"))[:-1], True)
        connection.execute(f"INSERT INTO sessions VALUES ({', '.join('?' for _ in session)})", session)
    for _ in range(2):
        async with opened(tmp_path) as journal:
            found = await journal.load()
            assert [turn.id for turn in found.waiting] == ["a"]
            assert found.sessions == (SessionRecord(KEY, 1.0, 2.0, cost_seen=0.5, note="kept", cost_saved=0.5),)
            assert not found.unreadable


async def test_a_first_start_that_failed_half_way_is_no_earlier_use(tmp_path: Path) -> None:
    (tmp_path / lock.FILE).touch()
    (tmp_path / "journal.db").touch()
    await use(tmp_path)


async def test_looking_creates_no_journal(tmp_path: Path) -> None:
    await anyio.to_thread.run_sync(examine_journal, tmp_path, Clock())
    assert os.listdir(tmp_path) == [lock.FILE]


async def test_a_disk_that_is_full_only_when_it_is_made_to_write_is_told_by_looking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of another host is: until then all that was written lies in this one's memory."""

    def sync(descriptor: int) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(os, "fsync", sync)
    with pytest.raises(JournalUnusable, match=os.strerror(errno.EDQUOT)):
        await anyio.to_thread.run_sync(examine_journal, tmp_path, Clock())


async def test_looking_names_who_holds_the_directory(folder: Path) -> None:
    async with Journal.open(folder, clock=Clock(), name="the dashboard"):
        with pytest.raises(StateInUse, match=r"in use by bullpen pid \d+ since .* \(the dashboard\)"):
            await anyio.to_thread.run_sync(examine_journal, folder, Clock())
