"""Addresses as they may be shown: a screen, a log or a report names the host, and no password or token."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

UNREADABLE = "an address that cannot be read"

_CREDENTIALS = re.compile(r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]{0,20}://)\S{0,2000}@")
"""Up to the last `@`: a password may hold any character."""
_QUERY = re.compile(r"(?P<address>\b[A-Za-z][A-Za-z0-9+.-]{0,20}://[^\s?#]{0,2000})[?#][^\s\"'<>)]*")


def bare_url(url: str) -> str:
    """`scheme://host[:port]` of an address, or `UNREADABLE`; without a scheme `host[:port]`, as proxies are named."""
    address = url.strip()
    has_scheme = "://" in address
    try:
        parts = urlsplit(address if has_scheme else f"//{address}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return UNREADABLE
    is_host = bool(host) and all(character.isalnum() or character in "-._:" for character in host)
    if not is_host or "@" in parts.path + parts.query + parts.fragment:
        return UNREADABLE
    if not has_scheme and "." not in host and port is None and host != "localhost":
        return UNREADABLE  # a bare word may as well be a token in the wrong variable
    shown = f"[{host}]" if ":" in host else host
    return f"{f'{parts.scheme}://' if has_scheme else ''}{shown}{f':{port}' if port is not None else ''}"


def bare_host(url: str) -> str:
    """`host[:port]` of an address, or `UNREADABLE`."""
    return bare_url(url).rpartition("://")[2]


def hide_credentials(text: str) -> str:
    """A sentence in which addresses keep neither user, password, query nor fragment."""
    if "://" not in text:
        return text
    return _QUERY.sub(r"\g<address>?…", _CREDENTIALS.sub(r"\g<scheme>", text))
