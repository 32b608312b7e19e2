#!/bin/sh
# What pam_exec(8) starts, with nothing in its environment but PAM's.
PYTHONPATH=/opt/qmail exec /opt/venv/bin/python -P -s -m services.auth.pam_userdb
