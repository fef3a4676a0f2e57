"""What `pip install .` gives: a command that works, with the shipped templates inside the wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)],
        check=True,
        timeout=150,
    )
    return next(folder.glob("bullpen-*.whl"))


def test_the_wheel_carries_templates_and_style_sheets(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for template in (ROOT / "templates").glob("*.md"):
        assert f"supervisor/config/shipped/{template.name}" in names
    for sheet in (ROOT / "tui").rglob("*.tcss"):
        assert str(sheet.relative_to(ROOT)) in names
    assert not [name for name in names if name.startswith(("tests/", "docs/", "screenshots/"))]


def test_the_installed_command_finds_its_own_templates(wheel: Path, tmp_path: Path) -> None:
    """In an environment of its own, outside the checkout. Its dependencies are those that run this test."""
    folder = tmp_path / "environment"
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", str(wheel)],
        check=True,
        timeout=100,
    )
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": sysconfig.get_path("purelib"),
        "XDG_STATE_HOME": str(tmp_path),
        "HOME": str(tmp_path),
    }
    answer = subprocess.run(
        [folder / "bin" / "bullpen", "check"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert str(folder) in answer.stdout
    for name in ("helpdesk", "admin", "clerk", "lookup"):
        assert name in answer.stdout
