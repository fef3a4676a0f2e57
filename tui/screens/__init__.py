"""Screens: they lay out, and hand keys to the verbs."""
