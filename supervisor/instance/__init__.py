"""One agent on duty: applies the scheduler's decisions to its sessions and clients, and hears its clients."""
