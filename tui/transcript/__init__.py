"""A conversation on the screen: blocks, Markdown, search."""
