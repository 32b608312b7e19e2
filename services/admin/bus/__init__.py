"""The bus's streams: made, opened again, marked, and what is lost counted."""
