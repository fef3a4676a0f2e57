"""The state directory and everything in it is for its owner only, whatever umask and modes there were before."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.api.errors import JournalUnusable
from supervisor.files.private import claim, is_replaceable, make_private_dir, tighten
from supervisor.process import executable

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.usefixtures("umask")
def test_a_directory_and_the_parents_it_lacked_are_private_under_any_umask(tmp_path: Path) -> None:
    make_private_dir(tmp_path / "a" / "b" / "c")
    assert {mode(tmp_path / name) for name in ("a", "a/b", "a/b/c")} == {0o700}


def test_a_parent_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_private_dir(tmp_path / "state")
    assert mode(tmp_path) == 0o755


def test_an_open_state_directory_is_closed_and_what_stands_in_it_too(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    (folder / "logs").mkdir(parents=True)
    (folder / "journal.db").touch()
    for path in (folder, folder / "logs", folder / "journal.db"):
        path.chmod(0o777)
    claim(folder)
    assert (mode(folder), mode(folder / "logs"), mode(folder / "journal.db")) == (0o700, 0o700, 0o700)


def test_everything_below_is_tightened_and_the_owners_own_permissions_stay(tmp_path: Path) -> None:
    wanted = {"deep/down": 0o700, "deep/down/text": 0o600, "deep/down/script": 0o700, "deep/locked": 0o400}
    (tmp_path / "deep" / "down").mkdir(parents=True)
    for name, kept in wanted.items():
        path = tmp_path / name
        path.is_dir() or path.touch()
        path.chmod(kept | 0o2055)
    found = tighten(tmp_path)
    assert {name: mode(tmp_path / name) for name in wanted} == wanted
    assert found.changed == len(wanted) + 1, "and deep itself"
    assert tighten(tmp_path).changed == 0


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    (outside / "file").touch(0o644)
    state = claim(tmp_path / "state")
    (state / "file").symlink_to(outside / "file")
    (state / "folder").symlink_to(outside)
    claim(state)
    tighten(state)
    assert (mode(outside), mode(outside / "file")) == (0o755, 0o644)


def test_a_link_to_a_directory_of_ones_own_is_a_state_directory(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir(mode=0o755)
    (tmp_path / "state").symlink_to(tmp_path / "disk")
    claim(tmp_path / "state")
    assert mode(tmp_path / "disk") == 0o700


@pytest.mark.parametrize("what", ["file", "dangling link"])
def test_what_is_no_directory_is_told_in_one_line(tmp_path: Path, what: str) -> None:
    path = tmp_path / "state"
    path.touch() if what == "file" else path.symlink_to(tmp_path / "nothing")
    with pytest.raises(JournalUnusable, match=r"state cannot be used \(Not a directory\): see to it, or use") as raised:
        claim(path)
    assert "\n" not in str(raised.value)


@needs_root
def test_a_directory_of_another_user_is_refused_naming_that_user(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    with pytest.raises(JournalUnusable, match=r"belongs to \w+, not to root: give it away with chown, or use another"):
        claim(folder)


@needs_root
def test_a_link_that_another_user_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "disk")
    os.chown(tmp_path / "state", NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(JournalUnusable, match="belongs to"):
        claim(tmp_path / "state")


@needs_root
def test_files_of_another_user_are_left_and_told_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a", "b"):
        (tmp_path / name).touch(0o644)
        os.chown(tmp_path / name, NOBODY, NOBODY)
    assert set(tighten(tmp_path).foreign) == {str(tmp_path / "a"), str(tmp_path / "b")}
    assert mode(tmp_path / "a") == 0o644
    (line,) = caplog.messages
    assert line.startswith(f"2 entries of {tmp_path} belong to another user, such as ")


def test_a_parent_that_all_may_write_is_noticed_unless_it_is_sticky(tmp_path: Path) -> None:
    claim(tmp_path / "state")
    for parent, expected in ((0o700, False), (0o777, True), (0o1777, False)):
        tmp_path.chmod(parent)
        assert is_replaceable(tmp_path / "state") is expected


@pytest.mark.parametrize("kind", ["folder", "fifo", "dangling", "file"])
def test_a_script_is_put_in_the_place_of_anything_but_a_folder_which_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / executable.TOOL_WRAPPER
    match kind:
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "dangling":
            path.symlink_to(tmp_path / "nowhere")
        case _:
            path.write_text("else")
    if kind == "folder":
        with pytest.raises(JournalUnusable, match=f"{path} cannot be used"):
            executable.wrap_tools(tmp_path)
    else:
        assert executable.wrap_tools(tmp_path) == path
        assert path.is_file()
        assert not path.is_symlink()
    assert [one.name for one in tmp_path.iterdir()] == [path.name], "nothing else is left there"
