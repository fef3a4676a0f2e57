"""What is prepared once and used by all sessions: Python functions, shared MCP servers, and caches of what is
expensive to build."""
