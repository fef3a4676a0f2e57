"""Facts about the SDK and its CLI that bullpen is built on, each asked of what is installed: `python -m tests.probes`.

A probe runs the CLI with no supervisor, over the rehearsal endpoint, and says in a word or two what it found. When that
is not what was found before, a decision in `docs/why.md` has lost its reason, or gained one.
"""
