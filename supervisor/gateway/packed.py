"""Answers in the contract's own JSON."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from supervisor.api.codec import pack


class Packed(Response):
    """A value of the contract, as the codec writes it."""

    media_type = "application/json"

    def __init__(self, value: Any, status_code: int = 200) -> None:
        super().__init__(pack(value), status_code)
