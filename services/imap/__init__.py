"""The imap role: an IMAP4rev1 server (RFC 3501) over Maildir++ folders, as Courier-IMAP kept them."""
