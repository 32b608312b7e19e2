"""IMAP SEARCH, SORT and THREAD decided on what a message holds (RFC 3501 6.4.4, RFC 5256). Pure."""
