"""Commands that need no bullpen: they look at files, at this machine, or remove what is kept of a person."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from supervisor import show_name
from tui.cli.exit_codes import DONE, FAILED, REFUSED
from tui.cli.opening import load
from tui.cli.options import (
    Common,
    ConfigOption,
    RehearsalOption,
    StateOption,
    TemplatesOption,
    settings_of,
)
from tui.cli.output import flush, say, tell

if TYPE_CHECKING:
    from supervisor import Loaded, Settings

app = typer.Typer(rich_markup_mode=None)

DESCRIPTION = 300
"""Characters of a template's description in the list of `check`."""
WALL = 300
"""Characters of the line that tells of one wall."""
MOST_NOTES = 1_000
"""Lines of notes that `check` prints."""


@app.command()
def check(
    context: typer.Context,
    templates: TemplatesOption = None,
    config: ConfigOption = None,
    state: StateOption = None,
    rehearsal: RehearsalOption = None,
) -> None:
    """Validates templates and configuration. Every mistake stands on a line of its own, with file and line."""
    from supervisor import count_declared

    settings, loaded = load(Common(templates, config, state, rehearsal).over(context.obj))
    good = _count(len(loaded.templates), "template")
    where = show_name(settings.templates_dir)
    if loaded.left_out:
        say(f"{good} in {where} can run, {_count(loaded.files_left_out, 'file')} cannot")
    else:
        say(f"{good} in {where}: all good")
    declared = count_declared(settings, loaded.templates).items()
    if counts := [_count(number, what) for what, number in declared if number]:
        say(f"declared: {', '.join(counts)}")
    _list_templates(settings, loaded)
    if loaded.left_out:
        flush()
        tell_left_out(loaded)
        raise typer.Exit(REFUSED)


def _list_templates(settings: Settings, loaded: Loaded) -> None:
    from supervisor import describe_walls, find_unseen, missing_skills, name_unseen, one_line

    environment = {"CLAUDE_CONFIG_DIR": str(settings.state_dir / "claude")} if settings.rehearsal else {}
    for template in loaded.templates:
        name = show_name(template.name)
        say(f"  {name:<16} {template.archetype:<9} {one_line(template.description, DESCRIPTION)}")
        if template.slug != template.name:
            say(f"      variables: BULLPEN_{template.slug.upper().replace('-', '_')}_…; directory: {template.slug}")
        for line in describe_walls(template):
            say(f"      {one_line(line, WALL)}")
        for line in missing_skills(template, environment):
            say(f"  note: {line}")
        if unseen := dict.fromkeys(map(name_unseen, find_unseen(template.description))):
            say(
                f"  note: {show_name(template.path.name)}: description holds {' '.join([*unseen][:10])}, not shown here"
            )
    for line in loaded.notes[:MOST_NOTES]:
        say(f"  note: {line}")
    if (more := len(loaded.notes) - MOST_NOTES) > 0:
        say(f"  note: and {more:,} more")


def tell_left_out(loaded: Loaded) -> None:
    for line in loaded.left_out:
        tell(line)


def refuse_unknown(agent: str, settings: Settings, loaded: Loaded) -> None:
    """Refuses an agent that no template has: says which files were left out, and raises `UnknownAgent`."""
    from supervisor import UnknownAgent

    tell_left_out(loaded)
    names = ", ".join(sorted(template.name for template in loaded.templates)) or "none"
    where = show_name(settings.templates_dir)
    raise UnknownAgent(f"no agent {show_name(agent)!r}; there are: {names} (in {where}: see --templates)")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


@app.command()
def doctor(
    context: typer.Context,
    templates: TemplatesOption = None,
    config: ConfigOption = None,
    state: StateOption = None,
    rehearsal: RehearsalOption = None,
) -> None:
    """Looks at what bullpen needs here. SDK and CLI, credentials, memory, terminal."""
    from supervisor import examine

    settings = settings_of(Common(templates, config, state, rehearsal).over(context.obj))
    is_good = True
    for finding in examine(settings):
        is_good = is_good and finding.is_good
        say(f"{'ok ' if finding.is_good else 'BAD'}  {finding.subject:<12} {finding.text}")
    raise typer.Exit(DONE if is_good else FAILED)


@app.command()
def forget(
    context: typer.Context,
    user: Annotated[str, typer.Argument(metavar="USER", help="The user's id, as in --user of `ask`.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what there is.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: ConfigOption = None,
    state: StateOption = None,
    rehearsal: RehearsalOption = None,
) -> None:
    """Removes a person. Every session of that user, what was said in it, and its files, in rehearsal as well.

    Where a bullpen runs over the state directory, it is asked to do it."""
    from tui.cli import running_engine
    from tui.cli.forget import forget_from_terminal, forget_there

    common = Common(None, config, state, rehearsal).over(context.obj)
    if running_engine.is_there(common):
        work = partial(forget_there, user, is_trial=dry_run, is_sure=yes)
        raise typer.Exit(running_engine.run_there(running_engine.Where(common, "", ""), work))
    raise typer.Exit(forget_from_terminal(settings_of(common).state_dir, user, is_trial=dry_run, is_sure=yes))
