#!/bin/sh
# The bus's health, asked by the engine; and the cure for the one illness that the server does not get over by itself:
# after a failed write (a full disk) it refuses every other one until it is started again (measured with 2.15.1). The
# engine starts again what ends. KILL, because a server that hangs would not hear TERM: what it has acknowledged is on
# the disk.
PORT=${PORT:-8222}
STORE=${STORE:-/var/lib/bus}

answer=$(printf 'GET /healthz HTTP/1.0\r\n\r\n' | timeout 4 nc 127.0.0.1 "$PORT")
case $answer in
    'HTTP/1.'?' 200 '*) exit 0 ;;
    *'write error'*) ;;
    # It is still reading its streams, or busy; the engine shows that.
    *) exit 1 ;;
esac
# Without 16 MB of room the next write would fail again.
[ "$(df -Pk "$STORE" | awk 'NR == 2 { print $4 }')" -ge 16384 ] || exit 1
echo 'not able to write; killed, to be started again'
kill -KILL $(pidof nats-server)
exit 1
