"""One client's dialogue: what it asks of the side with I/O, and what it is answered. Pure."""
