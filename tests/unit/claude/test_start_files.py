"""What a client reads at its start: for its owner only, and gone afterwards."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from supervisor.claude.start_files import FOLDER, clear_start_files, start_files


def test_only_the_owner_can_read_them_whatever_the_umask_is(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with start_files(tmp_path / "starting", "Help.", {"wiki": {"command": "wiki"}}, {"deny": []}) as files:
            assert files.servers is not None
            modes = [
                path.stat().st_mode & 0o777
                for path in (files.prompt, files.servers, files.settings, files.prompt.parent)
            ]
            assert modes == [0o600, 0o600, 0o600, 0o700]
            assert files.prompt.read_text("utf-8") == "Help."
            assert json.loads(files.servers.read_text("utf-8")) == {"mcpServers": {"wiki": {"command": "wiki"}}}
    finally:
        os.umask(before)


def test_they_are_gone_when_the_start_is_over_however_it_ended(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), start_files(tmp_path, "Help.", {}, {}):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_two_starts_at_once_have_files_of_their_own(tmp_path: Path) -> None:
    with start_files(tmp_path, "one", {}, {}) as one, start_files(tmp_path, "two", {}, {}) as two:
        assert (one.prompt.read_text("utf-8"), two.prompt.read_text("utf-8")) == ("one", "two")
        assert one.servers is None


def test_what_a_killed_supervisor_left_can_be_cleared(tmp_path: Path) -> None:
    folder = tmp_path / "starting"
    (folder / "old").mkdir(parents=True)
    (folder / "old" / "mcp.json").write_text("a token")
    clear_start_files(folder)
    clear_start_files(folder)
    assert not folder.exists()


@pytest.mark.parametrize("kind", ["fifo", "file", "link", "dangling", "absent"])
def test_what_was_put_in_the_place_of_the_folder_is_removed_at_once_and_nothing_goes_there(
    tmp_path: Path, kind: str
) -> None:
    folder, elsewhere = tmp_path / FOLDER, tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    match kind:
        case "fifo":
            os.mkfifo(folder)
        case "file":
            folder.touch()
        case "link":
            folder.symlink_to(elsewhere)
        case "dangling":
            folder.symlink_to(tmp_path / "nowhere")

    clear_start_files(folder)

    with start_files(folder, "prompt", {}, {}) as files:
        assert files.prompt.resolve().parent.parent == folder
    assert [path.name for path in elsewhere.iterdir()] == ["kept"]
