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
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.acceptance import forked
from tests.acceptance.conftest import find_clients
from tests.acceptance.test_command_line import ROOT
from tests.waiting import until_sync

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
            [*forked.bullpen(), "token", "new", *of, "--state", str(self.folder / "state")],
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


class Reader:
    """Of one turn: follows it in a thread, as often as it is told to, from the last event that it has."""

    def __init__(self, body: dict[str, str]) -> None:
        self.body = body
        self.turn = ""
        self.events: list[tuple[str, dict[str, object], str]] = []
        self._thread: threading.Thread | None = None

    def send(self, client: httpx.Client) -> str:
        head = {"Idempotency-Key": f"key of {self.body['userId']}"}
        return str(client.post("/turns", json=self.body, headers=head).json()["id"])

    def begin(self, client: httpx.Client) -> None:
        self._thread = threading.Thread(target=self._read, args=(client,))
        self._thread.start()

    def _read(self, client: httpx.Client) -> None:
        ids = [id for _, _, id in self.events if id]  # a place in the queue has none
        head = {"Last-Event-ID": ids[-1]} if ids else {}
        with (
            suppress(httpx.TransportError),  # the line breaks
            client.stream("GET", f"/turns/{self.turn}/events", headers=head) as stream,
        ):
            for event in events_of(stream):
                self.events.append(event)

    def join(self) -> None:
        assert self._thread is not None
        self._thread.join(60)
        assert not self._thread.is_alive()

    def count(self, name: str) -> int:
        return sum(one == name for one, _, _ in tuple(self.events))


def test_a_kill_in_the_middle_of_many_streams_loses_nothing_and_tells_nothing_twice(tmp_path: Path) -> None:
    """R2, D6: each reader goes on where it was; each request that is sent again, by many at once, is one turn."""
    done, long, late = "[[say: soon done]]", "[[stream: 300 words, 0.02]]", "[[say: after the long ones]]"
    said = [done, done, long, long, long, late, late, late, late]
    readers = [Reader({"userId": f"user-{n}", "agentId": "desk", "message": one}) for n, one in enumerate(said)]
    first, running, waiting = readers[:2], readers[2:5], readers[5:]
    with serving(tmp_path, kills=True) as served:
        token = served.token("--delegate")
        client = served.client(token)
        for group in (first, running, waiting):
            for reader in group:
                reader.turn = reader.send(client)
                reader.begin(client)
            if group is first:
                until_sync(lambda: all(reader.count("done") for reader in first), within=60)
        until_sync(lambda: all(reader.count("text") >= 5 for reader in running), within=60)
        assert not any(reader.count("started") for reader in waiting)
    for reader in readers:
        reader.join()
    with serving(tmp_path) as served:
        client = served.client(token)
        with ThreadPoolExecutor(len(readers)) as pool:
            for _ in range(3):
                assert list(pool.map(lambda reader: reader.send(client), readers)) == [one.turn for one in readers]
        for reader in (*running, *waiting):
            reader.begin(client)
        for reader in (*running, *waiting):
            reader.join()
        for reader in readers:
            ids = [id for _, _, id in reader.events if id]
            assert len(set(ids)) == len(ids), "each event once"
            assert reader.count("started") == 1
            text = ""
            for name, data, _ in reader.events:
                if name == "text":
                    assert data["at"] == len(text), "none is left out, and none told again"
                    text += str(data["text"])
            name, last, _ = reader.events[-1]
            assert (name, reader.count("done") + reader.count("failed")) == (
                "failed" if reader in running else "done",
                1,
            )
            if reader in running:
                assert last["outcome"] == "interrupted"
            else:
                assert last["text"] == text
                assert text in str(reader.body["message"])
        path = f"/turns/{readers[0].turn}/events"
        assert client.get(path, headers={"Last-Event-ID": "end"}).status_code == 204
        assert len(client.get("/sessions").json()) == len(readers), "one turn each"
        assert {row["turns"] for row in client.get("/sessions").json()} == {1}


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


def test_a_stop_says_what_it_waits_for_and_ctrl_c_ends_it_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """D3: nothing else would end it within the test's time."""
    monkeypatch.setenv("BULLPEN_DRAIN_DEADLINE", "1h")
    with serving(tmp_path, tools="AskUserQuestion") as served:
        client = served.client(served.token("--user", "ana"))
        turn = client.post("/turns", json={"agentId": "desk", "message": "[[ask: Which? | red | blue]]"}).json()["id"]
        with client.stream("GET", f"/turns/{turn}/events") as stream:
            assert any(name == "question" for name, _, _ in events_of(stream))
        with subprocess.Popen(
            [sys.executable, "-m", "tui", "stop", "--yes", "--state", str(tmp_path / "state")],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        ) as stop:
            assert stop.stderr is not None
            waits = (
                r"draining: 1 turn left · desk/ana/default waits for an answer, interrupted at [0-9:]+ · ctrl\+c ends"
            )
            assert any(re.search(waits, line) for line in stop.stderr)
            stop.send_signal(signal.SIGINT)
            assert "ending it now" in stop.stderr.read()
            assert stop.wait(60) == 0
        assert served.process.wait(60) == 0
    assert not find_clients(tmp_path)


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
