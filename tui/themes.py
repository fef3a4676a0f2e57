"""Our own colours; every theme Textual ships may be chosen as well.

Amber (`warning`) means that the operator is needed, and nothing else.
"""

from __future__ import annotations

from textual.theme import Theme

# The greys have so little colour that a terminal of 256 colours shows them as greys; with a step more they are navy.
BULLPEN_DARK = Theme(
    name="bullpen-dark",
    dark=True,
    primary="#7aa2c8",
    secondary="#8fb4a0",
    accent="#b79be0",
    warning="#e0b357",
    error="#e06c6c",
    success="#86b886",
    foreground="#d5d9de",
    background="#14171a",
    surface="#1a1d21",
    panel="#282c31",
    variables={
        "border": "#56799c",
        "border-blurred": "#3a4047",
        "footer-background": "#1a1d21",
        "footer-foreground": "#aab3bd",
        "footer-description-foreground": "#8b95a1",
        "footer-key-foreground": "#b79be0",
        "input-selection-background": "#7aa2c8 35%",
        "block-cursor-background": "#39414a",
        "block-cursor-foreground": "#eef2f6",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#2a2f35",
        "scrollbar": "#3a4047",
        "scrollbar-hover": "#56799c",
        "scrollbar-active": "#7aa2c8",
        "scrollbar-background": "#1a1d21",
        "scrollbar-background-hover": "#1a1d21",
        "scrollbar-background-active": "#1a1d21",
        "scrollbar-corner-color": "#1a1d21",
    },
)

BULLPEN_LIGHT = Theme(
    name="bullpen-light",
    dark=False,
    primary="#2f6593",
    secondary="#3d7a5c",
    accent="#6f45a8",
    warning="#96690a",
    error="#b53a3a",
    success="#3b7d3b",
    foreground="#22272d",
    background="#f4f2ee",
    surface="#fbfaf7",
    panel="#e7e3db",
    variables={
        "border": "#2f6593",
        "border-blurred": "#c4beb2",
        "footer-background": "#e7e3db",
        "footer-description-foreground": "#5a626b",
        "footer-key-foreground": "#6f45a8",
        "block-cursor-background": "#cfdfec",
        "block-cursor-foreground": "#14181d",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#e4e7e8",
        "scrollbar": "#c4beb2",
        "scrollbar-background": "#fbfaf7",
    },
)

MUTED = "$foreground 60%"
"""For `Content` styles, where `$text-muted` has no background to be computed from."""

ASLEEP = "$text-success 75%"
"""The colour of an idle client, fainter: one that sleeps."""

OURS = (BULLPEN_DARK, BULLPEN_LIGHT)
