"""Where the door listens besides its socket, and who may come in there: `[gateway]` in `bullpen.toml`."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from supervisor.text.cleaning import one_line

HIGHEST_PORT = 65_535


class Address(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """`127.0.0.1:8420` or `[::1]:8420`. Port 0 takes any that is free. Raises `ValueError`."""
    _, colon, port_text = text.strip().rpartition(":")
    if colon and port_text.isdecimal() and int(port_text[:10]) > HIGHEST_PORT:
        raise ValueError(f"must have a port from 0 to {HIGHEST_PORT}, not {one_line(port_text, 20)}")
    try:
        found = urlsplit(f"//{text.strip()}")
        host, port = found.hostname, found.port
    except ValueError:
        host, port = None, None
    if not host or port is None or found.path or found.username is not None:
        raise ValueError("must be HOST:PORT, such as 127.0.0.1:8420 or [::1]:8420")
    return Address(host, port)


class GatewaySettings(BaseModel):
    """The network's side of the door. Its socket in the state directory is always open."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    listen: str = Field(
        default="", description="HOST:PORT to listen at besides the socket, such as `127.0.0.1:8420`. Default: nowhere."
    )
    public_url: str = Field(
        default="",
        description="Address by which people reach the door from outside, such as `https://bullpen.example.org`: for "
        "the links by which questions are answered. Default: where it listens.",
    )
    hosts: tuple[str, ...] = Field(
        default=(), description="Names that the door is reached by, besides `localhost` and the address itself."
    )
    allowed_origins: tuple[str, ...] = Field(
        default=(), description="Origins of pages that may call it from a browser, such as `https://chat.example.org`."
    )
    tls_cert: Path | None = Field(default=None, description="Certificate (PEM, with its chain) for `https`.")
    tls_key: Path | None = Field(default=None, description="Its private key (PEM).")

    @field_validator("listen")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        return str(parse_address(value)) if value.strip() else ""

    @field_validator("public_url")
    @classmethod
    def _is_a_url(cls, value: str) -> str:
        if value.strip() and not _is_address(value.strip()):
            raise ValueError("must be an address such as https://bullpen.example.org")
        return value.strip()

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            found = urlsplit(one)
            if found.scheme not in ("http", "https") or not found.hostname or found.path not in ("", "/"):
                raise ValueError("must be origins, such as https://chat.example.org")
        return value

    @model_validator(mode="after")
    def _has_both_files(self) -> GatewaySettings:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key belong together: give both or none")
        return self

    @property
    def address(self) -> Address | None:
        return parse_address(self.listen) if self.listen else None


def _is_address(text: str) -> bool:
    try:
        found = urlsplit(text)
        is_plain = found.username is None and found.port != 0 and not found.query + found.fragment
    except ValueError:
        return False
    return found.scheme in ("http", "https") and bool(found.hostname) and is_plain and not any(map(str.isspace, text))
