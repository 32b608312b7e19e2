"""The driver of connections for smtpd, pop3 and imap: admission, TLS, patience, processes."""
