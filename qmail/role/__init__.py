"""What every role's process has: its loop, its health, its addresses."""
