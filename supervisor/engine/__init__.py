"""The composition root: the supervisor that wires the rooms together, its loops, and the view of it all."""
