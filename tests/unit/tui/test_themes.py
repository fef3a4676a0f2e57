from __future__ import annotations

import pytest
from rich.color import Color, ColorSystem

from tui.themes import BULLPEN_DARK

GREY_RAMP = range(232, 256)
"""The greys among the 256 colours."""

BACKGROUNDS = [
    BULLPEN_DARK.background,
    BULLPEN_DARK.surface,
    BULLPEN_DARK.panel,
    *(BULLPEN_DARK.variables[f"block-cursor-{name}"] for name in ("background", "blurred-background")),
]


@pytest.mark.parametrize("colour", BACKGROUNDS)
def test_what_stands_behind_text_stays_grey_in_256_colours(colour: str) -> None:
    assert Color.parse(colour).downgrade(ColorSystem.EIGHT_BIT).number in GREY_RAMP
