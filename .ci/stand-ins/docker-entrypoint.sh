#!/bin/sh
# As the original image's: flags alone mean flags of nats-server.
set -e
if [ "$#" -eq 0 ] || [ "${1#-}" != "$1" ]; then set -- nats-server "$@"; fi
exec "$@"
