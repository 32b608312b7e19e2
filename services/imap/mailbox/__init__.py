"""The selected mailbox: what the client knows of it, and what one session does to it on disk."""
