"""make run: the whole deployment without containers; in no image."""
