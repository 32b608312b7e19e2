"""log: multilog - reads what the roles say, and keeps it."""
