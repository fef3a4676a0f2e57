"""What `--help` of each command ends with: lines that can be typed. A test parses every one."""

from __future__ import annotations

import typer

EXAMPLES = {
    "": ("bullpen", "bullpen --listen 127.0.0.1:8420", "bullpen status"),
    "demo": ("bullpen demo", "bullpen demo --no-stand-in"),
    "serve": ("bullpen serve --listen 127.0.0.1:8420", "bullpen serve --rehearsal --callers"),
    "attach": ("bullpen attach", "bullpen attach --url https://pool.example.org"),
    "ask": (
        'bullpen ask helpdesk "How do I reset my VPN?" --user ana',
        "git diff | bullpen ask reviewer -",
        'bullpen ask auto "My VPN is down"',
    ),
    "route": ('bullpen route "The VPN is down"', "bullpen route - --json < mail.txt"),
    "chat": (
        "bullpen chat helpdesk --user ana",
        "bullpen chat helpdesk/ana/ticket-4711",
        "bullpen chat clerk < steps.txt",
    ),
    "check": ("bullpen check", "bullpen check --templates ./agents"),
    "doctor": ("bullpen doctor",),
    "forget": ("bullpen forget ana --dry-run", "bullpen forget ana"),
    "status": ("bullpen status", "bullpen status --json"),
    "sessions": ("bullpen sessions --agent helpdesk",),
    "clients": ("bullpen clients",),
    "contexts": ("bullpen contexts", "bullpen contexts --json"),
    "queue": ("bullpen queue --agent helpdesk",),
    "questions": ("bullpen questions", "bullpen questions helpdesk/ana/default"),
    "turn": ("bullpen turn 0r5x2k9c7m1a --follow",),
    "logs": ("bullpen logs helpdesk/ana/default", "bullpen logs ana --follow"),
    "events": ("bullpen events --limit 20", "bullpen events --follow --json"),
    "audit": ("bullpen audit --count 20",),
    "budgets": ("bullpen budgets", "bullpen budgets --json"),
    "providers": ("bullpen providers",),
    "limits": ("bullpen limits", "bullpen limits helpdesk"),
    "answer": (
        "bullpen answer helpdesk/ana/default allow",
        'bullpen answer q-17 deny --reason "not on a Friday"',
        'bullpen answer q-18 2 "another colour"',
    ),
    "drain": ("bullpen drain helpdesk", "bullpen drain helpdesk --deadline 300 --no-wait --yes"),
    "pause": ("bullpen pause helpdesk",),
    "resume": ("bullpen resume helpdesk",),
    "scale": ("bullpen scale helpdesk 5",),
    "set": ("bullpen set helpdesk.maxClients 8", "bullpen set helpdesk.idleTtl 10m", "bullpen set max_agents 40"),
    "kill": ("bullpen kill helpdesk-3", "bullpen kill helpdesk --yes"),
    "close": ("bullpen close helpdesk/ana/default",),
    "interrupt": ("bullpen interrupt helpdesk/ana/default",),
    "hibernate": ("bullpen hibernate helpdesk/ana/default",),
    "warm": ("bullpen warm helpdesk/ana/default",),
    "stop": ("bullpen stop", "bullpen stop --yes"),
    "compact": ("bullpen compact helpdesk/ana/default",),
    "clear": ("bullpen clear helpdesk", "bullpen clear helpdesk/ana/default"),
    "replay": ("bullpen replay helpdesk/ana/default",),
    "drop": ("bullpen drop helpdesk/ana/default",),
    "withdraw": ("bullpen withdraw 0r5x2k9c7m1a",),
    "cleanup": ("bullpen cleanup",),
    "acp": ("bullpen acp helpdesk",),
    "token new": ("bullpen token new --user ana", "bullpen token new --operator --name phone"),
    "token list": ("bullpen token list",),
    "token revoke": ("bullpen token revoke phone",),
    "schedules": ("bullpen schedules", "bullpen schedules --json"),
    "servers": ("bullpen servers", "bullpen servers --json"),
    "hooks list": ("bullpen hooks list",),
    "hooks recent": ("bullpen hooks recent --count 20", "bullpen hooks recent --json"),
    "hooks test": ("bullpen hooks test prompt:after",),
    "completion": ("source <(bullpen completion bash)",),
}


def add_examples(app: typer.Typer, group: str = "") -> None:
    """Adds examples to the help of every command of the app."""
    for info in app.registered_commands:
        name = info.name or (info.callback.__name__ if info.callback is not None else "")
        info.epilog = show_examples(f"{group} {name}".strip())


def show_examples(name: str) -> str:
    """Behind a mark that keeps the lines as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in EXAMPLES[name]) if name in EXAMPLES else ""
