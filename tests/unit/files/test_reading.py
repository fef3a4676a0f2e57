"""Reading what people write, while they write it (S3.6)."""

from __future__ import annotations

import shutil
from pathlib import Path

from supervisor.files.reading import find_below


def test_a_folder_that_is_replaced_while_it_is_read_is_left_out(tmp_path: Path) -> None:
    for name in ("booking.py", "notes.txt", "calendar/__init__.py", "calendar/days/week.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert {path.name for path in find_below(tmp_path, ".py")} == {"booking.py", "__init__.py", "week.py"}

    found = find_below(tmp_path, ".py")
    assert next(found).name == "booking.py"
    shutil.rmtree(tmp_path / "calendar")
    assert list(found) == []


def test_a_link_to_a_folder_above_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "again").symlink_to(tmp_path)
    (tmp_path / "inner" / "booking.py").touch()
    assert [path.name for path in find_below(tmp_path, ".py")] == ["booking.py"]
