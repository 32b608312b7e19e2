"""qmail-inject, sendmail and qmail-queue as commands: mail from programs, put through the queue's socket.

Imports nothing of the admin role, so that every container with the socket can carry these commands.
"""
