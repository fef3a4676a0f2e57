"""Dialogs are imported when they are first opened."""

from __future__ import annotations

import subprocess
import sys

import pytest

from supervisor import ClientLimit
from tests.tui import stage
from tui.screens import dialogs
from tui.screens.dialogs.scale import tell_clients

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", dialogs._LATE.homes)
def test_each_name_is_found_in_the_module_that_the_table_names(name: str) -> None:
    found = getattr(dialogs, name)
    assert (found.__name__, found.__module__) == (name, dialogs._LATE.homes[name])


@pytest.mark.parametrize(
    ("limit", "line", "told"),
    [
        (ClientLimit(extra=5), "5", "5 turns in parallel, 10 clients at most"),
        (ClientLimit(), "1", "1 turn in parallel, 1 client at most"),
        (ClientLimit(least=100), "7", "7 turns in parallel, 100 clients at most"),
        (ClientLimit(extra=5), "many", ""),
    ],
)
def test_a_number_of_turns_is_told_with_the_clients_that_the_engine_will_allow(
    limit: ClientLimit, line: str, told: str
) -> None:
    """Clients beyond the turns stay, a hundred for all of a host are not counted up: the row says which holds."""
    assert tell_clients(stage.instance("helpdesk", client_limit=limit), line) == told


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
