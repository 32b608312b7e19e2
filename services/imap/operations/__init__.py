"""What the commands do to mailboxes. Every function here blocks and runs as the account."""
