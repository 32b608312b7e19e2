"""POP3: the work of qmail-popup and qmail-pop3d (RFC 1939, 2449, 2595, 3206, 5034)."""
