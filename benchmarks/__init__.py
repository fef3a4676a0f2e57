"""What bullpen costs and what it saves, as ratios measured in one run. `make bench` writes docs/benchmarks.md.

Every contender runs in a process of its own and talks to one rehearsal endpoint, which has a process of its own as
well: no other work shares an event loop with what is measured.
"""
