#!/bin/sh
# qmailctl, and those commands of qmail that show a part of what it shows, told apart by the name that they are called by.
name=${0##*/}
case $name in
    qmailctl) set -- services.admin.commands.qmailctl "$@" ;;
    *) set -- services.admin.commands.bin "$name" "$@" ;;
esac
PYTHONPATH=/opt/qmail exec /opt/venv/bin/python -P -s -m "$@"
