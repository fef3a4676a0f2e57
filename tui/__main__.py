"""The program's first line. What ends it is heard from here on; everything else takes a while to import."""

from __future__ import annotations

import gc
import sys

from tui.cli.signals import SIGNALS

YOUNG = 200_000
"""Threshold of garbage collection for generation 0, while the program is imported: nothing of it is garbage, and with
Python's default of 700 looking for some was a fifth of the processor time of a start. The dashboard's first frame is
there after 168,000 objects, so nothing is looked for before it; `pace_interpreter` sets what holds from then on."""


def main() -> None:
    SIGNALS.listen()
    if sys.argv[1:2] == ["complete-words"]:
        from tui.cli.completion.answer import main as answer

        answer(sys.argv[2:])
        return
    gc.set_threshold(YOUNG)
    from tui.cli.main import main

    main()


if __name__ == "__main__":
    main()
