"""qmailctl's commands."""
