"""Dialogs are imported when they are first opened."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tui.screens import dialogs

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", dialogs._MODULE_OF)
def test_each_name_is_found_in_the_module_that_the_table_names(name: str) -> None:
    found = getattr(dialogs, name)
    assert (found.__name__, found.__module__) == (name, f"tui.screens.dialogs.{dialogs._MODULE_OF[name]}")


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="NoSuchScreen"):
        _ = dialogs.NoSuchScreen


def test_the_dashboard_imports_no_dialog_and_no_conversation() -> None:
    """Nothing of them is in the first frame."""
    code = "import sys, tui.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    imported = done.stdout.split()
    assert "tui.screens.dashboard.dashboard" in imported
    later = [name for name in imported if name.startswith(("tui.screens.dialogs.", "tui.screens.chat."))]
    assert later == []
    assert {"markdown_it", "pygments", "watchfiles", "supervisor.engine"}.isdisjoint(imported)
