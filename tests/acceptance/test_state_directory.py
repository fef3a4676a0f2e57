"""The state directory under real programs: full and read-only disks, files that vanish, and what is left behind."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from supervisor import SessionKey
from tests.acceptance.test_command_line import TEMPLATE, assert_one_clear_line, run
from tui.kept.drafts import DraftFile


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "templates"
    made.mkdir()
    (made / "desk.md").write_text(TEMPLATE)
    return made


@contextmanager
def disk(place: Path, size: str) -> Iterator[Path]:
    """A file system of its own, so small that it can be filled."""
    place.mkdir()
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root can mount a file system")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def fill(place: Path) -> None:
    with (place / "filler").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1024)):
                pass
        except OSError:
            return


def ask(folder: Path, text: str = "[[say: hi]]") -> subprocess.CompletedProcess[str]:
    return run(folder, "ask", "desk", text, "--rehearsal", "--templates", str(folder))


def doctor(folder: Path) -> str:
    answer = run(folder, "doctor", "--rehearsal", "--templates", str(folder))
    assert answer.stderr == ""
    return next(line for line in answer.stdout.splitlines() if " state " in line)


@pytest.mark.parametrize("is_new", [True, False], ids=["new", "used"])
def test_on_a_full_disk_ask_is_one_line_and_doctor_says_the_same(folder: Path, tmp_path: Path, is_new: bool) -> None:
    with disk(tmp_path / "state", "4m") as place:
        if not is_new:
            assert ask(folder).stdout == "hi\n"
        fill(place)
        assert_one_clear_line(ask(folder), str(place), "free space")
        said = doctor(folder)
        assert said.startswith("BAD")
        assert "free space" in said or "make room" in said


@pytest.mark.parametrize("is_new", [True, False], ids=["new", "used"])
def test_on_a_read_only_disk_ask_is_one_line_and_doctor_says_the_same(
    folder: Path, tmp_path: Path, is_new: bool
) -> None:
    with disk(tmp_path / "state", "4m") as place:
        if not is_new:
            assert ask(folder).stdout == "hi\n"
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        assert_one_clear_line(ask(folder), str(place), "Read-only file system")
        assert doctor(folder).startswith("BAD")


def test_an_emptied_journal_is_refused_by_ask_and_by_doctor(folder: Path, tmp_path: Path) -> None:
    assert ask(folder).stdout == "hi\n"
    os.truncate(tmp_path / "state" / "rehearsal" / "journal.db", 0)
    assert_one_clear_line(ask(folder), "journal.db is empty", "move", "to begin anew")
    assert "journal.db is empty" in doctor(folder)


def test_all_that_a_run_leaves_is_private_under_an_open_umask(folder: Path, tmp_path: Path) -> None:
    """What the CLI and the agent's tools have written is in it."""
    before = os.umask(0)
    try:
        told = '[[tool: Bash {"command": "mkdir made && touch made/file && seq 1 60000"}]] [[say: hi]]'
        write = '[[tool: Write {"file_path": "note", "content": "x"}]]'
        template = TEMPLATE.replace("---\nYou", "permissionMode: acceptEdits\n---\nYou")
        (folder / "desk.md").write_text(template)
        assert ask(folder, write + told).stdout == "hi\n"
    finally:
        os.umask(before)
    paths = [tmp_path / "state", *(tmp_path / "state").rglob("*")]
    open_to_others = [path for path in paths if not path.is_symlink() and stat.S_IMODE(path.lstat().st_mode) & 0o077]
    assert open_to_others == []
    assert {"note", "file", "journal.db", "bullpen.log"} <= {path.name for path in paths}


def forget(folder: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return run(folder, "forget", *arguments, stdin=stdin)


def test_forget_removes_one_user_from_every_file_and_leaves_the_other(folder: Path, tmp_path: Path) -> None:
    """The real CLI's own files included."""
    template = TEMPLATE.replace("---\nYou", "permissionMode: acceptEdits\n---\nYou")
    (folder / "desk.md").write_text(template)
    for user, word in (("ana", "anas-own-words"), ("bob", "bobs-own-words")):
        told = f'''{word} [[tool: Write {{"file_path": "note", "content": "{word}"}}]] [[say: {word}]]'''
        arguments = ("ask", "desk", told, "--user", user, "--rehearsal", "--templates", str(folder))
        assert run(folder, *arguments).stdout.endswith(f"{word}\n")

    def find(word: str) -> list[Path]:
        return [
            path for path in (tmp_path / "state").rglob("*") if path.is_file() and word.encode() in path.read_bytes()
        ]

    assert {path.name for path in find("anas-own-words")} >= {"note", "journal.db"}
    kept = {path.name for path in find("bobs-own-words")}
    draft = SessionKey("desk", "ana", "default")
    DraftFile(tmp_path / "state" / "rehearsal").save({draft: "anas-own-words, not sent"})

    refused = forget(folder, "ana")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "nothing was removed: say --yes" in refused.stderr
    assert "1 session," in forget(folder, "ana", "--dry-run").stdout
    assert find("anas-own-words")
    done = forget(folder, "ana", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("searched again: nothing is left\n")
    assert find("anas-own-words") == []
    assert {path.name for path in find("bobs-own-words")} == kept
    assert forget(folder, "ana").stdout.startswith("nothing of ana in ")


def test_of_a_tool_call_nothing_is_left_when_ask_has_ended(folder: Path, tmp_path: Path) -> None:
    template = TEMPLATE.replace("---\nYou", "archetype: tool\npermissionMode: acceptEdits\n---\nYou")
    (folder / "desk.md").write_text(template)
    write = '[[tool: Write {"file_path": "note", "content": "words-to-lose"}]] [[say: words-to-lose]]'
    assert ask(folder, f"words-to-lose {write}").stdout.endswith("words-to-lose\n")
    left = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert [path for path in left if b"words-to-lose" in path.read_bytes()] == []
    assert list((tmp_path / "state" / "rehearsal" / "workspaces").glob("*/*")) == []
    assert list((tmp_path / "state" / "rehearsal" / "claude" / "projects").iterdir()) == []
