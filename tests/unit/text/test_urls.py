"""No password or token of an address is shown."""

from __future__ import annotations

import pytest

from supervisor.api.errors import BullpenError, ConfigurationError
from supervisor.text.urls import UNREADABLE, bare_host, bare_url, hide_credentials


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:secret@gate.example/path?token=secret", "https://gate.example"),
        ("https://gate.example:8443/v1", "https://gate.example:8443"),
        ("someone:secret@proxy.example:3128", "proxy.example:3128"),
        ("localhost:8080", "localhost:8080"),
        ("http://user:secret@[::1]:80/", "http://[::1]:80"),
        ("https://user:sec/ret@gate.example/", UNREADABLE),
        ("https://user:12/secret@gate.example", UNREADABLE),
        ("https://user:secret?@gate.example", UNREADABLE),
        ("https://user:secret#@gate.example", UNREADABLE),
        ("https://gate.example:99999/", UNREADABLE),
        ("https://gate\x1b[2J/", UNREADABLE),
        ("secret", UNREADABLE),
        ("", UNREADABLE),
    ],
)
def test_only_scheme_host_and_port_of_an_address_are_shown(url: str, shown: str) -> None:
    assert bare_url(url) == shown
    assert bare_host(url) == shown.rpartition("://")[2]


def test_a_sentence_keeps_its_addresses_and_loses_their_passwords() -> None:
    sentence = 'no answer from "https://user:secret@host/path?token=secret" and (http://u:se/cr@et@proxy:1/x).'
    assert hide_credentials(sentence) == 'no answer from "https://host/path?…" and (http://proxy:1/x).'
    assert hide_credentials("see https://example.org/docs for more") == "see https://example.org/docs for more"


def test_an_error_is_one_line_without_passwords_whatever_its_parts_hold() -> None:
    told = str(BullpenError("no file a\nbullpen: all good\x1b[2J at https://u:secret@h/x"))
    assert told == "no file a⟨LF⟩bullpen: all good⟨ESC⟩[2J at https://h/x"
    assert str(ConfigurationError(["one\ntwo", "three"])) == "one⟨LF⟩two\nthree"
