"""The pages about the door say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from supervisor.gateway.app import compose_app

PAGE = (Path(__file__).parent.parent.parent / "docs/http.md").read_text("utf-8")


class Nothing:
    """Routes are described without an engine."""


def test_every_route_is_on_the_page_and_no_other() -> None:
    app = compose_app(Nothing(), Nothing(), version="0", leave=lambda: None)  # type: ignore[arg-type]
    routes = {
        f"{method.upper()} {path.replace(':path', '')}"
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    }
    assert set(re.findall(r"^\| `((?:GET|POST|PUT|DELETE) \S+)` \|", PAGE, re.MULTILINE)) == routes
