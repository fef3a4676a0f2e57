"""The command line: one process from its first line to its exit code."""
