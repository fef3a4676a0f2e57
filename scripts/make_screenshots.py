"""Takes the pictures of the README from the running program: real Claude Code processes on rehearsal, real screens.

Writes screenshots/*.svg. Takes about half a minute.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
from textual.pilot import Pilot

from supervisor import (
    Prompt,
    QuestionKind,
    Rehearsal,
    SessionKey,
    SessionState,
    Supervisor,
    load_settings,
    shipped_templates,
    templates_for,
)
from supervisor.rehearsal.reply import Reply
from supervisor.rehearsal.request import MessagesRequest
from tui.app import BullpenApp

FOLDER = Path(__file__).resolve().parents[1] / "screenshots"
FONTS = "Fira Code, DejaVu Sans Mono, Menlo, Consolas, monospace"

OPENING = [
    ("helpdesk", "ana", "default", "My laptop does not see the printer on the third floor."),
    ("admin", "farid", "default", "Which systems are we responsible for?"),
    ("helpdesk", "elena", "default", "How do I share a calendar with my team?"),
    ("lookup", "goran", "default", "What does VAT stand for?"),
]
RUSH = [
    ("helpdesk", "ana", "default", "Found it: the old driver. Please write that down."),
    ("helpdesk", "boris", "vpn", "The VPN drops every ten minutes."),
    ("helpdesk", "chiara", "default", "I need a badge for Monday."),
    ("helpdesk", "dmitri", "default", "Is the mail server slow for everybody?"),
    ("helpdesk", "dmitri", "default", "And the wiki?"),
    ("clerk", "elena", "default", "Please book the March invoices."),
    ("clerk", "goran", "default", "And list the open ones."),
    ("admin", "farid", "default", "Draft the maintenance plan for Saturday."),
]
CHAT = "Our VPN drops every ten minutes. What can I try, and can you write it down for the others?"
NOTE = "# VPN drops\\n\\n1. Quit the client completely, from the menu bar.\\n2. Open it again and choose gateway-2.\\n"
STAGED = {
    RUSH[0][
        3
    ]: '[[tool: Write {"file_path": "notes/printer-3f.md", "content": "Driver 6.2 does not find it; 6.4 does."}]]',
    RUSH[2][3]: "[[ask: Which badge do you need? | Visitor | Permanent]]",
    RUSH[5][3]: "[[stream: 400 words, 0.2]]",
    RUSH[7][3]: "[[stream: 400 words, 0.2]]",
    CHAT: (
        "[[say: Let me see what the house already knows about this.]]"
        '[[tool: Bash {"command": "ls -la"}]]'
        "[[say: Nothing yet, so here is what helps:\n\n"
        "1. **Quit the client completely**. It hides in the menu bar.\n"
        "2. Open it again and choose `gateway-2`: gateway 1 was restarted this morning, and clients that were "
        "connected then cling to a dead tunnel.\n"
        "3. If it still says *negotiating* after ten seconds, your certificate is due.\n\n"
        "| gateway | since | use it |\n|---|---|---|\n| gateway-1 | 08:10 | no |\n| gateway-2 | Monday | yes |\n\n"
        "I will put it where the others find it.]]"
        f'[[tool: Write {{"file_path": "notes/vpn.md", "content": "{NOTE}"}}]]'
    ),
}
"""What the endpoint plays for a prompt that people say in their own words."""


class StagedRehearsal(Rehearsal):
    """Hears the stage directions with the prompts of `STAGED`; the screen shows the prompts alone."""

    def reply_to(self, request: MessagesRequest) -> tuple[Reply, str]:
        text = json.dumps(request.messages)
        for prompt, directions in STAGED.items():
            text = text.replace(json.dumps(prompt)[1:-1], json.dumps(prompt + directions)[1:-1])
        return super().reply_to(replace(request, messages=tuple(json.loads(text))))


async def until(condition: Callable[[], object], pilot: Pilot[int], within: float = 40.0) -> None:
    with anyio.fail_after(within):
        while not condition():
            await pilot.pause(0.05)


def save(app: BullpenApp, name: str) -> None:
    """Without the font that would be loaded from the network."""
    svg = app.export_screenshot(title="bullpen", simplify=True)
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = svg.replace("Fira Code, monospace", FONTS).replace("Fira Code", FONTS.split(",")[0])
    (FOLDER / f"{name}.svg").write_text(svg)
    print(f"screenshots/{name}.svg")


async def take(folder: Path) -> None:
    async with open_supervisor(folder / "one") as supervisor:
        app = BullpenApp(supervisor, rehearsal=True)
        async with app.run_test(size=(140, 42)) as pilot:
            await take_dashboard(app, pilot, supervisor)
        narrow = BullpenApp(supervisor, rehearsal=True)
        async with narrow.run_test(size=(80, 24)) as pilot:
            await pilot.pause(1.0)
            save(narrow, "narrow")
    async with open_supervisor(folder / "two") as supervisor:
        app = BullpenApp(supervisor, rehearsal=True)
        async with app.run_test(size=(140, 46)) as pilot:
            await take_chat(app, pilot, supervisor)


@asynccontextmanager
async def open_supervisor(folder: Path) -> AsyncIterator[Supervisor]:
    settings = load_settings(environ={}, state_dir=folder / "state", templates_dir=shipped_templates(), rehearsal=True)
    async with StagedRehearsal(pace=0.3) as rehearsal:
        environment = rehearsal.environment(folder / "claude")
        async with Supervisor(templates_for(settings), settings, environment=environment) as supervisor:
            yield supervisor


async def submit(supervisor: Supervisor, agent: str, user: str, session: str, text: str) -> None:
    await supervisor.submit(Prompt(agent, text, user=user, session=session))


async def take_dashboard(app: BullpenApp, pilot: Pilot[int], supervisor: Supervisor) -> None:
    for prompt in OPENING:
        await submit(supervisor, *prompt)
    await until(lambda: all(row.turns for row in supervisor.view.snapshot().sessions), pilot)
    for prompt in RUSH:
        await submit(supervisor, *prompt)
        await pilot.pause(0.3)
    await until(lambda: len(supervisor.view.snapshot().questions) == 2, pilot)
    await until(lambda: all(row.memory_bytes for row in supervisor.view.snapshot().clients), pilot)
    await pilot.pause(4.0)
    save(app, "dashboard")


async def take_chat(app: BullpenApp, pilot: Pilot[int], supervisor: Supervisor) -> None:
    key = SessionKey("helpdesk", "boris", "vpn")
    await submit(supervisor, "helpdesk", "boris", "vpn", CHAT)

    def is_asked() -> bool:
        return any(q.kind is QuestionKind.PERMISSION and q.key == key for q in supervisor.view.snapshot().questions)

    await until(is_asked, pilot)
    await pilot.pause(1.0)
    row = next(row for row in supervisor.view.snapshot().sessions if row.key == key)
    assert row.state is SessionState.ASKING
    await pilot.press("i")  # to the oldest question, its card has the focus
    await pilot.pause(1.5)
    save(app, "chat")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        anyio.run(take, Path(folder))


if __name__ == "__main__":
    main()
