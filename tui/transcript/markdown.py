"""Rich's Markdown renderer, told to lose nothing: links are text, tables fold, headings stay left."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from markdown_it.token import Token
from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Heading, HorizontalRule, Markdown, MarkdownElement, TableElement
from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table

from tui.transcript.markdown_split import parser


class LeftHeading(Heading):
    LEVEL_ALIGN = dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), "left")


class PlainRule(HorizontalRule):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Rule(style=console.get_style("markdown.hr"), characters="─")


class NestedCode(CodeBlock):
    """Code inside a list or a quotation; code at the top level is a piece of its own."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text).removesuffix("\n")
        yield Syntax(code, self.lexer_name, theme=self.theme, word_wrap=True, background_color="default")


class FoldingTable(TableElement):
    """A cell that is too narrow for its text gets more lines, never an ellipsis."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, style="markdown.table.border", collapse_padding=True)
        if self.header is not None and self.header.row is not None:
            for column in self.header.row.cells:
                heading = column.content.copy()
                heading.stylize("markdown.table.header")
                table.add_column(heading, overflow="fold", justify=column.justify)
        if self.body is not None:
            for row in self.body.rows:
                table.add_row(*(cell.content for cell in row.cells))
        yield table


class SafeMarkdown(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": LeftHeading,
        "hr": PlainRule,
        "fence": NestedCode,
        "code_block": NestedCode,
        "table_open": FoldingTable,
    }
    inlines = {"em", "strong", "code", "s", "link", "link_url"}

    def __init__(self, markup: str, *, code_theme: str) -> None:
        super().__init__("", code_theme=code_theme, hyperlinks=False)
        self.markup = markup
        self.parsed = parser().parse(markup)
        for token in self.parsed:
            if token.children:
                token.children = _spelled_out(token.children)


def _spelled_out(tokens: Iterable[Token]) -> list[Token]:
    """`[text](address)` becomes the words *text (address)*; an address that is its own text is said once.

    A line break stays one: agents write `key: value` lines more often than hard-wrapped prose.
    """
    spelled: list[Token] = []
    opened: list[tuple[str, int]] = []
    for token in tokens:
        if token.type == "link_open":
            opened.append((str(token.attrs.get("href", "")), len(spelled)))
            spelled.append(Token("words_open", "link", 1))
        elif token.type == "link_close" and opened:
            address, begin = opened.pop()
            words = "".join(part.content for part in spelled[begin:])
            spelled.append(Token("words_close", "link", -1))
            if address not in (words, f"mailto:{words}"):
                spelled += [
                    Token("address_open", "link_url", 1),
                    Token("text", "", 0, content=f" ({address})"),
                    Token("address_close", "link_url", -1),
                ]
        elif token.type == "softbreak":
            spelled.append(Token("hardbreak", "br", 0))
        else:
            spelled.append(token)
    return spelled
