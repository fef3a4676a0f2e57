"""`bullpen chat`: a conversation at the terminal."""
