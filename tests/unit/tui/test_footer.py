"""The line of keys shows whole keys only."""

from __future__ import annotations

from tui.widgets.fittedfooter import fit


def test_the_last_keys_give_way_and_the_way_out_stays() -> None:
    keys = ["allow", "always", "deny", "esc", "tile", "help"]
    for width, shown in (
        (40, keys),
        (24, ["allow", "always", "deny", "esc", "help"]),
        (14, ["allow", "esc", "help"]),
        (7, ["esc", "help"]),
        (3, ["esc"]),
        (0, []),
    ):
        assert fit(keys, width, len, lambda key: key in ("esc", "help")) == shown
        assert sum(map(len, shown)) <= width
