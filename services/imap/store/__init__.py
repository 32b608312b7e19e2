"""Mailboxes on disk: Maildir++ folders, UID lists, keywords, subscriptions. Blocking; runs as the account."""
