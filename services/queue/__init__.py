"""queue: qmail-send - which recipient is tried when, and what becomes of it."""
