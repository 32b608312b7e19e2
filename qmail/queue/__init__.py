"""Putting a message into the queue and reading it there; the queue's socket."""
