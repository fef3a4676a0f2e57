"""Claude Code behind the connection: options, messages, transcripts. Only this room drives the Agent SDK."""
