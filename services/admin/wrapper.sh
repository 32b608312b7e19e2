#!/bin/sh
# qmailctl, also by the names of start scripts, and those commands of qmail that show a part of what it shows, told apart by the name that they are called by.
name=${0##*/}
case $name in
    qmailctl | qmail | imapd.rc) set -- services.admin.commands.qmailctl "$@" ;;
    *) set -- services.admin.commands.bin "$name" "$@" ;;
esac
PYTHONPATH=/opt/qmail exec /opt/venv/bin/python -P -s -m "$@"
