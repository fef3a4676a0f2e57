"""Hooks, gates and schedules: what bullpen does by itself when something happens, or when it is time."""
