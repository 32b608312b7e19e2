"""The scheduler at work: what drives it, and the tasks around it."""
