"""What is prepared once and used by all sessions: tools, and caches of what is expensive to build."""
