"""What sessions have on disk goes when they go, whatever its modes and names, and nothing else does."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

import supervisor
from supervisor.files.session_files import Belongings, CliStore, find_workspaces, measure, remove_workspace
from tests.scarcity import no_descriptors

NOBODY = 65534


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "state" / "workspaces"
    (made / "desk").mkdir(parents=True)
    return made


@pytest.fixture
def workspace(root: Path) -> Path:
    made = root / "desk" / str(uuid4())
    (made / "deep" / "er").mkdir(parents=True)
    (made / "deep" / "er" / "note").write_text("words")
    return made


def test_a_workspace_goes_with_all_that_is_in_it_and_its_neighbour_stays(workspace: Path, root: Path) -> None:
    other = root / "desk" / str(uuid4())
    other.mkdir()
    tally = remove_workspace(str(workspace), root)
    assert (tally.files, tally.bytes, tally.failed) == (1, 5, [])
    assert list((root / "desk").iterdir()) == [other]


def test_links_in_it_are_removed_and_not_followed(workspace: Path, root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (workspace / "file").symlink_to(outside / "kept")
    (workspace / "folder").symlink_to(outside)
    os.link(outside / "kept", workspace / "hard")
    remove_workspace(str(workspace), root)
    assert not workspace.exists()
    assert (outside / "kept").read_text() == "kept"


@pytest.mark.parametrize("what", ["workspace", "instance", "root"])
def test_a_link_in_its_own_place_leads_nowhere(root: Path, tmp_path: Path, what: str) -> None:
    outside = tmp_path / "outside"
    name = str(uuid4())
    (outside / "desk" / name).mkdir(parents=True)
    (outside / "desk" / name / "kept").touch()
    if what == "workspace":
        (root / "desk" / name).symlink_to(outside / "desk" / name)
    elif what == "instance":
        (root / "desk").rmdir()
        (root / "desk").symlink_to(outside / "desk")
    else:
        shutil.rmtree(root)
        root.symlink_to(outside)
    remove_workspace(str(root / "desk" / name), root)
    assert (outside / "desk" / name / "kept").exists()


@pytest.mark.parametrize(
    "path", ["/", "", ".", "..", "relative/desk/x", "{root}", "{root}/desk", "{root}/desk/../../../home", "/etc/desk/x"]
)
def test_what_is_no_workspace_of_ours_is_left_and_told(root: Path, path: str) -> None:
    before = sorted(root.rglob("*"))
    tally = remove_workspace(path.format(root=root), root)
    assert [one for one in tally.failed if "is not below" in one]
    assert sorted(root.rglob("*")) == before


_AS_ANOTHER = """
import sys
from pathlib import Path
from supervisor.files.session_files import remove_workspace
print(remove_workspace(sys.argv[1], Path(sys.argv[2])).failed)
"""


def remove_as_nobody(workspace: Path, root: Path) -> str:
    """Root may enter every folder: the removing is done by a user who may not."""
    top = root.parent.parent
    # What other tests compile meanwhile comes and goes.
    compiled = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(supervisor.__file__).parent, top / "source" / "supervisor", ignore=compiled)
    for path in (top, *top.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    for path in top.parents:
        if path.stat().st_uid == os.geteuid() and path.name and path != Path("/tmp"):
            path.chmod(path.stat().st_mode | 0o111)
    python = next((path for path in map(Path, ("/usr/bin/python3", "/usr/local/bin/python3")) if path.exists()), None)
    if python is None:
        pytest.skip("another user cannot run Python here")
    done = subprocess.run(
        [python, "-c", _AS_ANOTHER, workspace, root],
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        cwd=top / "source",
        env={},
        capture_output=True,
        text=True,
    )
    return done.stdout or done.stderr


@pytest.mark.parametrize("mode", [0o000, 0o111, 0o400, 0o500])
def test_folders_closed_to_their_own_owner_are_removed(workspace: Path, root: Path, mode: int) -> None:
    for folder in (workspace / "deep" / "er", workspace / "deep", workspace):
        folder.chmod(mode)
    failed = (
        remove_as_nobody(workspace, root) if os.geteuid() == 0 else f"{remove_workspace(str(workspace), root).failed}\n"
    )
    assert failed == "[]\n"
    assert not workspace.exists()


def test_a_tree_deeper_than_any_path_may_be_long_is_removed(workspace: Path, root: Path) -> None:
    here = os.open(workspace, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("folder", dir_fd=here)
        inner = os.open("folder", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    assert remove_workspace(str(workspace), root).failed == []
    assert not workspace.exists()


def test_odd_names_and_kinds_of_files_are_removed(workspace: Path, root: Path) -> None:
    for name in (b"\xff\xfe", b"a\nb", b"-rf", b"\x1b[2J", "é".encode()):
        Path(os.fsdecode(os.fsencode(workspace) + b"/" + name)).touch()
    os.mkfifo(workspace / "pipe")
    assert remove_workspace(str(workspace), root).failed == []
    assert not workspace.exists()


@pytest.fixture
def immutable(workspace: Path) -> Iterator[Path]:
    path = workspace / "deep" / "kept"
    path.write_text("x")
    chattr = shutil.which("chattr")
    if chattr is None or subprocess.run([chattr, "+i", path], capture_output=True).returncode:
        pytest.skip("no file can be made immutable here")
    yield path
    subprocess.run([chattr, "-i", path], check=True)


def test_what_cannot_be_removed_is_told_once_and_the_rest_goes(immutable: Path, workspace: Path, root: Path) -> None:
    tally = remove_workspace(str(workspace), root)
    assert tally.failed == [f"{immutable}: Operation not permitted"]
    assert not (workspace / "deep" / "er").exists()


# The CLI's files


@pytest.fixture
def store(tmp_path: Path) -> CliStore:
    made = CliStore(tmp_path / "claude", tmp_path / "scratch")
    made.config_dir.mkdir()
    made.scratch.mkdir()
    return made


def slug(path: Path) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in str(path))


def put(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("words")


def test_everything_that_the_cli_keeps_of_a_conversation_goes_and_no_other(store: CliStore, workspace: Path) -> None:
    uuid, other = workspace.name, str(uuid4())
    projects = store.config_dir / "projects"
    for one, where in ((uuid, slug(workspace)), (other, "-elsewhere")):
        put(
            projects / where / f"{one}.jsonl",
            projects / where / f"{one}.jsonl.unanswered-x",
            projects / where / one / "tool-results" / "a.txt",
            store.config_dir / "todos" / f"{one}-agent-{one}.json",
            store.config_dir / "file-history" / one / "v1",
            store.config_dir / "session-env" / one / "hook",
            store.config_dir / "debug" / f"{one}.txt",
            store.scratch / where / one / "tasks" / "b.output",
        )
    put(projects / slug(workspace) / "memory" / "MEMORY.md", store.config_dir / ".claude.json")
    kept = sorted(path for path in store.config_dir.parent.rglob("*") if path.is_file() and uuid not in str(path))

    tally = store.remove([Belongings(uuid, str(workspace))])

    left = sorted(path for path in store.config_dir.parent.rglob("*") if path.is_file())
    assert [path for path in left if workspace not in path.parents] == kept
    assert tally.failed == []
    assert not (projects / slug(workspace)).exists()


def test_of_a_shared_folder_only_what_the_id_names_goes(store: CliStore, tmp_path: Path) -> None:
    uuid, shared = str(uuid4()), store.config_dir / "projects" / slug(tmp_path / "repo")
    put(shared / f"{uuid}.jsonl", shared / "memory" / "MEMORY.md", shared / f"{uuid4()}.jsonl")
    store.remove([Belongings(uuid)])
    assert len([path for path in shared.rglob("*") if path.is_file()]) == 2


def test_a_path_so_long_that_its_end_is_cut_from_the_name_takes_no_other_with_it(store: CliStore, root: Path) -> None:
    """Two workspaces may share the folder's name then."""
    workspace = root / ("x" * 220) / str(uuid4())
    shared = store.config_dir / "projects" / slug(workspace)[:200]
    put(shared / f"{workspace.name}.jsonl", shared / f"{uuid4()}.jsonl")
    store.remove([Belongings(workspace.name, str(workspace))])
    assert len(list(shared.iterdir())) == 1


@pytest.mark.parametrize("uuid", ["", "*", "..", "a" * 36, "../../../../etc"])
def test_what_is_no_id_names_no_file(store: CliStore, uuid: str) -> None:
    put(store.config_dir / "projects" / "-x" / "a.jsonl", store.config_dir / "todos" / "b.json")
    assert store.find([Belongings(uuid)]) == []


def test_a_scratch_folder_that_is_a_link_is_not_looked_into(store: CliStore, workspace: Path, tmp_path: Path) -> None:
    """It lies where every user may make one."""
    store.scratch.rmdir()
    (tmp_path / "trap").mkdir()
    store.scratch.symlink_to(tmp_path / "trap")
    put(tmp_path / "trap" / slug(workspace) / workspace.name / "kept")
    store.remove([Belongings(workspace.name, str(workspace))])
    assert (tmp_path / "trap" / slug(workspace) / workspace.name / "kept").exists()


def test_workspaces_are_found_and_measured(workspace: Path, root: Path) -> None:
    (root / "desk" / "link").symlink_to(workspace)
    assert [path for path, _ in find_workspaces(root)] == [str(workspace)]
    assert (measure([workspace]).files, measure([workspace]).bytes) == (1, 5)


@pytest.mark.parametrize("linked", ["root", "instance"])
def test_a_workspace_behind_a_link_is_left_alone_and_that_is_told(tmp_path: Path, linked: str) -> None:
    """Else it would count as removed."""
    real, root = tmp_path / "real", tmp_path / "workspaces"
    workspace = root / "desk" / "w"
    if linked == "root":
        (real / "desk" / "w").mkdir(parents=True)
        root.symlink_to(real)
    else:
        (real / "w").mkdir(parents=True)
        root.mkdir()
        (root / "desk").symlink_to(real)
    (failure,) = remove_workspace(str(workspace), root).failed
    assert failure.startswith(f"{workspace}: ")
    assert workspace.is_dir()
    assert not remove_workspace(str(root / "desk" / "never"), root).failed


def test_what_cannot_be_seen_for_want_of_descriptors_is_not_nothing(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("four", "utf-8")
    with no_descriptors(), pytest.raises(OSError, match="Too many open files"):
        measure([tmp_path])
    assert measure([tmp_path, tmp_path / "missing"]).bytes == 4


def test_what_cannot_be_seen_for_want_of_descriptors_is_not_removed_already(tmp_path: Path) -> None:
    """Else its removal would be settled, and it would stay for ever."""
    uuid, workspace = str(uuid4()), tmp_path / "workspaces" / "desk" / "one"
    transcript = tmp_path / "projects" / "somewhere" / f"{uuid}.jsonl"
    for folder in (workspace, transcript.parent):
        folder.mkdir(parents=True)
    transcript.write_text("{}", "utf-8")
    store = CliStore(tmp_path, tmp_path / "scratch")
    with no_descriptors():
        for remove in (
            lambda: store.remove([Belongings(uuid, "")]),
            lambda: remove_workspace(str(workspace), tmp_path / "workspaces"),
            lambda: list(find_workspaces(tmp_path / "workspaces")),
        ):
            with pytest.raises(OSError, match="Too many open files"):
                remove()
    assert store.remove([Belongings(uuid, "")]).files == 1
    assert not remove_workspace(str(workspace), tmp_path / "workspaces").failed
    assert not transcript.exists()
    assert not workspace.exists()
