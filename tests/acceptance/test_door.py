"""`bullpen serve` as a program, with real Claude Code processes, driven over HTTP alone."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import find_clients
from tests.acceptance.test_command_line import ROOT

TEMPLATE = """---
name: desk
description: a desk
tools: [TOOLS]
concurrency: {maxSessions: 3}
pool: {spares: 0}
---
You help.
"""


class Served:
    """A `bullpen serve` that runs."""

    def __init__(self, folder: Path, process: subprocess.Popen[str], url: str) -> None:
        self.folder = folder
        self.process = process
        self.url = url
        self.stack = ExitStack()

    def token(self, *of: str) -> str:
        made = subprocess.run(
            [sys.executable, "-m", "tui", "token", "new", *of, "--state", str(self.folder / "state")],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        return made.stdout.strip()

    def client(self, token: str) -> httpx.Client:
        client = httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {token}"}, timeout=60)
        return self.stack.enter_context(client)


@contextmanager
def serving(folder: Path, *, kills: bool = False, tools: str = "") -> Iterator[Served]:
    """Ends it by SIGTERM, or kills it, and waits for it."""
    templates = folder / "templates"
    templates.mkdir(exist_ok=True)
    (templates / "desk.md").write_text(TEMPLATE.replace("TOOLS", tools))
    command = ["serve", "--rehearsal", "--state", str(folder / "state"), "--templates", str(templates)]
    with subprocess.Popen(
        [sys.executable, "-m", "tui", *command, "--listen", "127.0.0.1:0"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                told = json.loads(line)  # a log that programs read
                if found := re.search(r"http://\S+", told["message"]):
                    served = Served(folder, process, found.group())
                    with served.stack:
                        yield served
                    break
            else:
                raise AssertionError("it did not open")
        finally:
            process.send_signal(signal.SIGKILL if kills else signal.SIGTERM)
            process.stderr.read()
            code = process.wait(60)
        assert code == (-9 if kills else 0)


def events_of(stream: httpx.Response) -> Iterator[tuple[str, dict[str, object], str]]:
    fields: dict[str, str] = {}
    for line in stream.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield fields["event"], json.loads(fields["data"]), fields.get("id", "")
            fields = {}


def test_a_kill_in_the_middle_of_a_stream_loses_nothing_and_tells_nothing_twice(tmp_path: Path) -> None:
    """R2, D6: the reader goes on where it was; each request that is sent again is one turn."""
    key = {"Idempotency-Key": "long-1"}
    long = {"agentId": "desk", "message": "[[stream: 300 words, 0.02]]"}
    waiting = {"agentId": "desk", "message": "[[say: after the long one]]"}
    with serving(tmp_path, kills=True) as served:
        token = served.token("--user", "ana")
        client = served.client(token)
        first = client.post("/turns", json=long, headers=key).json()["id"]
        second = client.post("/turns", json=waiting, headers={"Idempotency-Key": "short-1"}).json()["id"]
        seen = []
        with client.stream("GET", f"/turns/{first}/events") as stream:
            for event in events_of(stream):
                seen.append(event)
                if len([one for one in seen if one[0] == "text"]) >= 5:
                    break
    with serving(tmp_path) as served:
        client = served.client(token)
        assert client.post("/turns", json=long, headers=key).json()["id"] == first
        assert client.post("/turns", json=waiting, headers={"Idempotency-Key": "short-1"}).json()["id"] == second
        path = f"/turns/{first}/events"
        with client.stream("GET", path, headers={"Last-Event-ID": seen[-1][2]}) as stream:
            rest = list(events_of(stream))
        assert [name for name, _, _ in rest] == ["failed"]
        assert rest[0][1]["outcome"] == "interrupted"
        with client.stream("GET", f"/turns/{second}/events") as stream:
            told = list(events_of(stream))
        assert told[-1][:1] == ("done",)
        assert "after the long one" in str(told[-1][1]["text"])
        assert client.get(path, headers={"Last-Event-ID": "end"}).status_code == 204


def test_the_first_sigterm_drains_and_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """D3, S1.17"""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    address = tmp_path / "notify"
    listener.bind(str(address))
    monkeypatch.setenv("NOTIFY_SOCKET", str(address))
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    told = []

    def listen() -> None:
        while told[-1:] != ["over"]:
            told.append(listener.recv(4096).decode())

    listening = threading.Thread(target=listen)
    listening.start()
    with serving(tmp_path) as served:
        client = served.client(served.token("--user", "ana"))
        body = {"agentId": "desk", "message": "[[stream: 60 words, 0.02]]"}
        turn = client.post("/turns", json=body).json()["id"]
        with client.stream("GET", f"/turns/{turn}/events") as stream:
            events = events_of(stream)
            for name, _, _ in events:
                if name == "text":
                    break
            served.process.send_signal(signal.SIGTERM)
            assert [name for name, _, _ in events][-1] == "done", "what runs is let end"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.sendto(b"over", str(address))
    listening.join(10)
    listener.close()
    said = "".join(told)
    assert "READY=1" in said
    assert "WATCHDOG=1" in said
    assert "STATUS=draining: 1 turn left" in said
    assert "STOPPING=1" in said
    assert not find_clients(tmp_path)
    assert not (tmp_path / "state/rehearsal/bullpen.sock").exists()


def test_listening_for_others_without_a_token_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/desk.md").write_text(TEMPLATE.replace("TOOLS", ""))
    command = ["serve", "--rehearsal", "--listen", "0.0.0.0:0", "--state", str(tmp_path / "state")]
    refused = subprocess.run(
        [sys.executable, "-m", "tui", *command, "--templates", str(tmp_path / "templates")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert refused.returncode == 2
    assert "token new --operator" in refused.stderr.splitlines()[-1]
