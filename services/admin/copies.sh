#!/bin/sh
# The copies of each role that a project of the engine has, running or stopped, as options of `compose up`, which would
# take all but one away: `--scale delivery-local=2`. Called with the compose command: copies.sh docker compose -p NAME
"$@" ps --all --format json 2>/dev/null | tr ',' '\n' | sed -n 's/.*"Service": *"\([^"]*\)".*/\1/p' | sort | uniq -c |
    while read -r count service; do
        if [ "$count" -gt 1 ]; then printf -- '--scale %s=%s ' "$service" "$count"; fi
    done
