"""The Maildir as all roles agree on it: names, dates, reading."""
