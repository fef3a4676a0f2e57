"""Completion of a command line in a shell: words of bullpen itself, and names of what runs."""
