"""Text to strips, for one width and one theme. Untrusted text stays text: no markup, no links, no HTML."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from rich.theme import Theme
from textual.strip import Strip

from tui.transcript.markdown_split import Piece

if TYPE_CHECKING:
    from rich.markdown import Markdown

DARK_CODE, LIGHT_CODE = "one-dark", "friendly"
LONGEST_HIGHLIGHTED_LINE = 1_000


class Paint:
    """Made anew when the width or the theme changes; a strip drawn with another paint is out of date."""

    def __init__(
        self, width: int, ink: Callable[[str], Style], ground: Callable[[str], Style], *, is_dark: bool
    ) -> None:
        self.width = max(8, width)
        """Cells a line of text may take."""
        self.ink = ink
        self.ground = ground
        self.code_theme = DARK_CODE if is_dark else LIGHT_CODE

    @cached_property
    def console(self) -> Console:
        return Console(
            file=io.StringIO(),
            width=self.width,
            height=100,
            color_system="truecolor",
            force_terminal=True,
            legacy_windows=False,
            markup=False,
            emoji=False,
            highlight=False,
            theme=self._theme(),
            _environ={},
        )

    def _theme(self) -> Theme:
        ink, code = self.ink, self.ink("code")
        return Theme(
            {
                "markdown.h1": ink("heading") + Style(bold=True, underline=True),
                "markdown.h2": ink("heading") + Style(bold=True),
                "markdown.h3": ink("heading") + Style(bold=True),
                "markdown.h4": ink("heading"),
                "markdown.h5": ink("heading") + Style(italic=True),
                "markdown.h6": ink("heading") + Style(italic=True),
                "markdown.code": code,
                "markdown.code_block": code,
                "markdown.block_quote": ink("quote"),
                "markdown.item.bullet": ink("bullet"),
                "markdown.item.number": ink("bullet"),
                "markdown.hr": ink("dim"),
                "markdown.link": ink("link"),
                "markdown.link_url": ink("dim"),
                "markdown.table.header": Style(bold=True),
                "markdown.table.border": ink("dim"),
                "markdown.strong": Style(bold=True),
                "markdown.em": Style(italic=True),
                "markdown.s": Style(strike=True),
            }
        )

    def text(self, text: str, style: Style | None = None, *, indent: int = 0) -> list[Strip]:
        """Plain text, wrapped. Every line of the text begins a line."""
        width = max(4, self.width - indent)
        lines = self._lines(Text(text, style or Style.null(), overflow="fold"), width)
        if indent == 0:
            return lines
        return [Strip([Segment(" " * indent), *line]) for line in lines]

    def piece(self, piece: Piece) -> list[Strip]:
        """One piece of a Markdown text. What cannot be rendered is shown as it stands."""
        try:
            if piece.kind == "markdown":
                return _trimmed(self._lines(self._markdown(piece.source), self.width))
            if piece.kind == "code":
                return self.code(piece.source, piece.language)
        except Exception:  # a renderer tripping over untrusted text must not take the screen with it
            pass
        return self.text(piece.source)

    def code(self, source: str, language: str) -> list[Strip]:
        """Code on its own background, at full width."""
        ground = self.ground("code-block")
        if not language or max(map(len, source.split("\n"))) > LONGEST_HIGHLIGHTED_LINE:
            body: RenderableType = Text(source, overflow="fold")
            lines = self._lines(body, self.width - 2)
        else:
            from rich.syntax import Syntax

            syntax = Syntax(source, language, theme=self.code_theme, word_wrap=True, background_color="default")
            text = syntax.highlight(source)
            text.remove_suffix("\n")
            text.no_wrap, text.overflow = False, "fold"
            lines = self._lines(text, self.width - 2)
        return [Strip([Segment(" "), *line]).adjust_cell_length(self.width).apply_style(ground) for line in lines]

    def _markdown(self, source: str) -> Markdown:
        from tui.transcript.markdown import SafeMarkdown

        return SafeMarkdown(source, code_theme=self.code_theme)

    def _lines(self, renderable: RenderableType, width: int) -> list[Strip]:
        options = self.console.options.update(width=max(4, width), height=None, overflow="fold")
        lines = self.console.render_lines(renderable, options, pad=False)
        return [Strip(_without_padding(Segment.simplify(_without_background(line)))) for line in lines]


def _without_background(line: Iterable[Segment]) -> Iterator[Segment]:
    """Renderers may set the terminal's default background or a link; both would show through the theme."""
    for text, style, control in line:
        if style is not None and (style._link or (style.bgcolor is not None and style.bgcolor.is_default)):
            style = Style.chain(style.without_color, Style(color=style.color)).update_link(None)
        yield Segment(text, style, control)


def _without_padding(line: Iterable[Segment]) -> list[Segment]:
    segments = list(line)
    while segments and (text := segments[-1].text.rstrip(" ")) != segments[-1].text:
        segments[-1:] = [Segment(text, segments[-1].style)] if text else []
    return segments


def _trimmed(lines: list[Strip]) -> list[Strip]:
    """Without empty lines at either end; the blank line between pieces is the layout's."""
    first, last = 0, len(lines)
    while first < last and not lines[first].text.strip():
        first += 1
    while last > first and not lines[last - 1].text.strip():
        last -= 1
    return lines[first:last] or [Strip.blank(0)]
