"""Courier's files as the tutorial prints them."""

from __future__ import annotations

# Chapter 7.2e as it is printed: before the change in its two places, and after it.
BEFORE = """#VERSION: $Id: authdaemonrc.in,v 1.8 2001/10/07 02:16:22
#
# authdaemonrc created from authdaemonrc.dist by sysconfctl

authmodulelist="authcustom authcram authuserdb authldap authpgsql authpam"
authmodulelistorig="authcustom authvchkpw authcram authuserdb authldap
authpgsql authpam"
daemons=0
version=" "
authdaemonvar=/usr/lib/courier-imap/var/authdaemon
#authdaemonvar=/usr/lib/courier-imap/libexec/authlib/authdaemon
"""
AFTER = BEFORE.replace('list="authcustom authcram authuserdb authldap authpgsql authpam"', 'list="authpam"').replace(
    "daemons=0", "daemons=1"
)
