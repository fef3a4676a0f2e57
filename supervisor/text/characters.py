"""The one table of characters that are not simply read: what acts on a terminal, hides from a reader, or has no cell.

Cleaning, revealing, the screen's filter and the checks of names all take their characters from here, so that none of
them lets through what another one refuses. The table is written down, not computed from the interpreter's Unicode
data: what passes must not depend on the version of Python. A test walks all code points and compares the table with
that data, which shows what a newer Unicode has added.

The names below hold ranges as they stand between the brackets of a regular expression. Source: Unicode 16, general
categories and `Default_Ignorable_Code_Point`; widths as Rich and wcwidth have them.
"""

from __future__ import annotations

import re
import unicodedata

CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f"
"""C0, DEL and C1, but newline and tab. Category Cc."""

SURROGATES = "\ud800-\udfff"
"""Halves of a character. Category Cs."""

SEPARATORS = "\u2028\u2029"
"""They break lines in the middle of a text. Categories Zl and Zp."""

SELECTORS = "\ufe00-\ufe0f"
"""Variation selectors. U+FE0F after a narrow emoji is ordinary text; any other one hides something."""

HIDDEN = (
    "\u00ad"  # soft hyphen
    "\u034f"  # combining grapheme joiner
    "\u061c"  # Arabic letter mark
    "\u115f\u1160\u3164\uffa0"  # Hangul fillers: letters by category, blank by design
    "\u17b4\u17b5"  # Khmer inherent vowels
    "\u180b-\u180f"  # Mongolian selectors
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"  # zero width, direction
    "\ufff0-\ufffb"  # reserved ignorables, interlinear annotation
    "\U00013430-\U00013440"  # Egyptian hieroglyph format controls
    "\U00016fe4"  # Khitan filler
    "\U0001bca0-\U0001bca3"  # shorthand format controls
    "\U0001d159\U0001d173-\U0001d17a"  # musical null notehead and format controls
    "\U000e0000-\U000e0fff"  # tags, further selectors, reserved ignorables
)
"""Without a shape of their own. Category Cf but its visible signs (`VISIBLE_FORMAT`), and the other ignorables."""

NONCHARACTERS = "\ufdd0-\ufdef" + "".join(
    chr(plane | 0xFFFE) + chr(plane | 0xFFFF) for plane in range(0, 0x110000, 0x10000)
)
"""Never to be exchanged; programs use them as marks of their own."""

FORBIDDEN = f"{CONTROLS}{SURROGATES}{SEPARATORS}{HIDDEN}{NONCHARACTERS}"
"""In no text that a person reads."""

VISIBLE_FORMAT = "\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
"""Signs written around numbers: of category Cf, and drawn."""

NARROW_EMOJI = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u2199\u21a9\u21aa\u2328\u23cf\u23ed-\u23ef\u23f1\u23f2\u23f8-\u23fa"
    "\u24c2\u25aa\u25ab\u25b6\u25c0\u25fb\u25fc\u2600-\u2604\u260e\u2611\u2618\u261d\u2620\u2622\u2623\u2626\u262a"
    "\u262e\u262f\u2638-\u263a\u2640\u2642\u265f\u2660\u2663\u2665\u2666\u2668\u267b\u267e\u2692\u2694-\u2697\u2699"
    "\u269b\u269c\u26a0\u26a7\u26b0\u26b1\u26c8\u26cf\u26d1\u26d3\u26e9\u26f0\u26f1\u26f4\u26f7-\u26f9\u2702\u2708"
    "\u2709\u270c\u270d\u270f\u2712\u2714\u2716\u271d\u2721\u2733\u2734\u2744\u2747\u2763\u2764\u27a1\u2934\u2935"
    "\u2b05-\u2b07\U0001f170\U0001f171\U0001f17e\U0001f17f\U0001f300-\U0001f6ff"
)
"""What U+FE0F turns from a sign of one cell into a picture of two."""

TONES = "\U0001f3fb-\U0001f3ff"
"""Skin tones. Terminals and Rich disagree about their width (2 against 4 cells, measured)."""

BLANKS = "\u00a0\u1680\u2000-\u200a\u202f\u205f\u2800\u3000"
"""Visible as a gap, and not the space that they look like. Category Zs, and the empty Braille pattern."""

MARK_BLOCKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u11ff\u135d-\u135f\u1712-\u1dff\u20d0-\u20f0\u2cef-\u2dff\u302a-\u302f\u3099\u309a"
    "\ua66f-\ua6f1\ua802-\uabed\ud7b0-\ud7ff\ufb1e\ufe00-\ufe2f\U000101fd-\U0001037a\U00010a01-\U00010ae6"
    "\U00010d24-\U00010d6d\U00010eab-\U0001172b\U0001182c-\U00011f5a\U00013430-\U00013455"
    "\U0001611e-\U0001612f\U00016af0-\U00016b36\U00016f4f-\U00016ff1\U0001bc9d-\U0001bca3\U0001cf00-\U0001cf46"
    "\U0001d127-\U0001d281\U0001da00-\U0001daaf\U0001e000-\U0001e136\U0001e2ae-\U0001e2ef"
    "\U0001e4ec-\U0001e6f5\U0001e8d0-\U0001e94a\U0001f3fb-\U0001f3ff"
)
"""Where marks are found, with letters between them: what lies outside is none."""

_JAMO = (range(0x1160, 0x1200), range(0xD7B0, 0xD800))
"""Vowels and final consonants of Hangul: letters by category, drawn into the cell before them."""


_IN_MARK_BLOCKS = re.compile(f"[{MARK_BLOCKS}]")


def is_mark(character: str) -> bool:
    """Whether a character is drawn into the cell of the one before it, and so can be piled up.

    What this Python's Unicode does not know yet counts as a mark inside their blocks: newer tables give it no width.
    """
    if not _IN_MARK_BLOCKS.match(character):
        return False
    category, code = unicodedata.category(character), ord(character)
    return category[0] == "M" or category == "Cn" or any(code in jamo for jamo in _JAMO) or 0x1F3FB <= code <= 0x1F3FF
