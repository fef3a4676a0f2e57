"""What a tool call may do, and how it is shown to the person who decides."""
