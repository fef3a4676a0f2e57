"""Groups of commands whose own name, alone, lists what there is: `bullpen hooks` is `bullpen hooks list`."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


class ListsByDefault(TyperGroup):
    """Options behind the group's name are those of its `list`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        is_about_list = not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        return super().parse_args(ctx, ["list", *args] if is_about_list else args)
