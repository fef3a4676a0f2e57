"""Writes docs/template.schema.json, the JSON Schema of a template's front matter."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from supervisor.config.templates import schema_text  # noqa: E402

if __name__ == "__main__":
    target = ROOT / "docs" / "template.schema.json"
    target.write_text(schema_text(), "utf-8")
    print(f"wrote {target.relative_to(ROOT)}")
