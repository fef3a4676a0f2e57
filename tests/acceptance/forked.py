"""Starts of `bullpen` that cost a fork instead of a second of a processor, for tests of what a command does and prints.

One process for each worker has imported what `bullpen check` and `bullpen ask` need. Each start is a fork of it, with
the arguments, environment, working directory, umask and standard streams of the process that asked for it:

    python -I -S forked.py SOCKET [ARGUMENT...]    as `python -m tui [ARGUMENT...]`

What the interpreter itself makes of its environment (`PYTHON…`, `LC_ALL`, closed streams), how the program is imported,
signals, and keys of a terminal are not seen there: tests of these start the program itself.
"""

from __future__ import annotations

import os
import socket
import sys

STREAMS = (0, 1, 2)
_command: list[str] = []
"""What a program starts, once this process has one to fork."""


def ask(name: str, arguments: list[str]) -> int:
    """Has it done there. Returns the exit code, with the number of a signal below zero."""
    folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    environ = [name + b"=" + value for name, value in os.environb.items()]
    os.umask(umask := os.umask(0))
    head = f"{umask} {len(arguments)}".encode()
    parts = [head, *map(os.fsencode, arguments), *environ]
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(name)
        socket.send_fds(line, [b"x"], [*STREAMS, folder])
        line.sendall(b"\0".join(parts))
        line.shutdown(socket.SHUT_WR)
        return int(line.makefile().read())


def serve(listener: socket.socket) -> None:
    """Never returns. Its process group ends with the tests that started it."""
    import gc
    from contextlib import suppress

    gc.freeze()
    while True:
        line, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _keep(line)
        line.close()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _keep(line: socket.socket) -> None:
    """Runs the program in a child of its own, and tells how it ended."""
    _, descriptors, _, _ = socket.recv_fds(line, 1, len(STREAMS) + 1)
    *streams, folder = descriptors
    head, *parts = line.makefile("rb").read().split(b"\0")
    umask, count = map(int, head.split())
    arguments, environ = parts[:count], parts[count:]
    os.umask(umask)
    for given, descriptor in zip(streams, STREAMS, strict=True):
        os.dup2(given, descriptor)
    os.fchdir(folder)
    for descriptor in descriptors:
        os.close(descriptor)
    if (child := os.fork()) == 0:
        line.close()
        _run([os.fsdecode(one) for one in arguments], environ)
    _, status = os.waitpid(child, 0)
    line.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _run(arguments: list[str], environ: list[bytes]) -> None:
    import tempfile
    import traceback

    from tui.__main__ import main

    tempfile.tempdir = None
    os.environb.clear()
    os.environb.update(entry.split(b"=", 1) for entry in environ)
    sys.argv = ["bullpen", *arguments]
    # As the interpreter opens them in a terminal of UTF-8.
    sys.stdin = os.fdopen(0, encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
    code: object = 1
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code if isinstance(code, int) else 0)


def _warm_up(templates: str) -> None:
    import threading
    from contextlib import redirect_stderr, redirect_stdout
    from importlib import import_module
    from io import StringIO

    from tui.cli.main import app

    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        app(["check", "--templates", templates], prog_name="bullpen", standalone_mode=False)
    for name in ("tui.cli.ask", "supervisor.engine.supervisor", "supervisor.rehearsal", "claude_agent_sdk"):
        import_module(name)
    assert threading.active_count() == 1, "a fork has no other thread"


def bullpen() -> list[str]:
    """What a program starts, in the place of `python -m tui`. The one that is forked ends with this process."""
    if not _command:
        _command.extend(_start())
    return _command


def _start() -> list[str]:
    import atexit
    import signal
    import subprocess
    import tempfile
    from pathlib import Path

    root = Path(__file__).parents[2]
    folder = tempfile.TemporaryDirectory(prefix="b")
    name = f"{folder.name}/s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen(8)
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.acceptance.forked", str(listener.fileno()), str(root / "templates")],
            cwd=root,
            env={"PATH": os.environ["PATH"], "HOME": folder.name, "LANG": "C.UTF-8"},
            pass_fds=[listener.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def end() -> None:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        folder.cleanup()

    atexit.register(end)
    return [sys.executable, "-I", "-S", __file__, name]


if __name__ == "__main__" and sys.flags.isolated:
    raise SystemExit(ask(sys.argv[1], sys.argv[2:]) & 0xFF)
if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as waiting:
        _warm_up(sys.argv[2])
        serve(waiting)
