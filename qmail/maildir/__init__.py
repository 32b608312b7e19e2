"""The Maildir as all roles agree on it: names, one writer, one reader."""
