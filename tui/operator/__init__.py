"""What the operator can do: verbs, their targets, their consequences, and the line after `:`."""
