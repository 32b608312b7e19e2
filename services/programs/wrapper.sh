#!/bin/sh
# qmail's programs, told apart by the name that they are called by. Whatever the directory is that one is called in, its
# Python is that of the image; it needs no packages, and starts quicker without looking for them (-S).
PYTHONPATH=/opt/qmail exec /opt/venv/bin/python -P -s -S -m services.programs "${0##*/}" "$@"
