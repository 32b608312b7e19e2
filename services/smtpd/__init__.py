"""smtpd: the door for mail (tcpserver, qmail-smtpd and submission in one program)."""
