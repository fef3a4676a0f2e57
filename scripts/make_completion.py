"""Writes tui/cli/completion/commands.json: the words that a shell completes, from the commands as they are."""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tui.cli.completion.answer import TREE  # noqa: E402
from tui.cli.completion.tree import describe  # noqa: E402
from tui.cli.main import app  # noqa: E402

if __name__ == "__main__":
    TREE.write_text(json.dumps(describe(app), indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"wrote {TREE.relative_to(ROOT)}")
