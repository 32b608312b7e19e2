"""The scheduler and what it knows: every decision, and nothing else (docs/decisions/0019). Pure."""
