"""Conversations from the inside."""
