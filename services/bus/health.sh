#!/bin/sh
# The bus's health, asked by the engine; and the cure for what the server does not get over by itself. After a failed
# write (a full disk) it refuses every other one until it is started again (measured with 2.15.1); and where it hangs,
# the engine would only call it unhealthy. The engine starts again what ends. KILL, because a server that hangs would
# not hear TERM: what it has acknowledged is on the disk.
PORT=${PORT:-8222}
STORE=${STORE:-/var/lib/bus}
# Empty in a container that starts, as the server is new in it.
MARKS=${MARKS:-/tmp}
SILENT_SECONDS=60

# Monotonic.
read -r uptime _ </proc/uptime
now=${uptime%.*}
# Before asking: an engine that does not wait for this script must not stop the count.
[ -e "$MARKS/ill" ] || echo "$now" >"$MARKS/ill"

answer=$(printf 'GET /healthz HTTP/1.0\r\n\r\n' | timeout 4 nc 127.0.0.1 "$PORT")
case $answer in
    'HTTP/1.'?' 200 '*)
        : >"$MARKS/well"
        rm -f "$MARKS/ill"
        exit 0
        ;;
    *'write error'*) ;;
    *'could not be recovered'*)
        # One stream is missing; the server works, and admin brings it back (services/admin/bus/stream_provisioner.py).
        : >"$MARKS/well"
        rm -f "$MARKS/ill"
        echo "$answer"
        exit 0
        ;;
    *)
        # One that was not well yet is still reading its streams, and may take its time.
        [ -e "$MARKS/well" ] || exit 1
        [ $((now - $(cat "$MARKS/ill"))) -ge "$SILENT_SECONDS" ] || exit 1
        ;;
esac
# Without 16 MB of room the next write would fail again.
[ "$(df -Pk "$STORE" | awk 'NR == 2 { print $4 }')" -ge 16384 ] || exit 1
echo 'not able to work; killed, to be started again'
kill -KILL $(pidof nats-server)
exit 1
