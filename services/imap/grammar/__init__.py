"""IMAP's grammar: bytes to commands, without any I/O (RFC 3501 section 9). Pure."""
