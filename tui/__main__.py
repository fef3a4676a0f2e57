"""The program's first line. What ends it is heard from here on; everything else takes a while to import."""

from __future__ import annotations

from tui.cli.signals import SIGNALS


def main() -> None:
    SIGNALS.listen()
    from tui.cli.main import main

    main()


if __name__ == "__main__":
    main()
