"""The operator's first screen."""
