"""admin: first start, the accounts, the bus's store, qmailctl."""
