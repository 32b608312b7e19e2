"""qmail-inject, sendmail and qmail-queue as commands: mail from programs, put through the queue's socket.

No role's own: every container with the socket can carry these commands (RIGHTS.toml says which do).
"""
