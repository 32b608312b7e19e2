#!/bin/sh
# The commands of /var/qmail/bin that put mail, told apart by the name that they are called by. Whatever the directory is
# that one is called in, its Python is that of the image.
name=${0##*/}
case $name in
    qmail-inject) module=services.inject ;;
    qmail-qmqpc) module=services.inject.qmqpc ;;
    qmail-queue) module=services.inject.qmail_queue ;;
    qreceipt) module=services.inject.qreceipt ;;
    *) module=services.inject.sendmail ;;
esac
# Who sends (qmail-inject(8)): a login says it in USER and LOGNAME, the engine's `exec` does not.
if [ -z "${QMAILUSER+set}${MAILUSER+set}${USER+set}${LOGNAME+set}" ] && USER=$(id -un 2>/dev/null); then
    export USER
fi
SENDMAIL_NAME=$name PYTHONPATH=/opt/qmail exec /opt/venv/bin/python -P -s -S -m "$module" "$@"
