"""qmail-rspawn and qmail-remote: one message to one far host by SMTP."""
