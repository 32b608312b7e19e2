#!/bin/sh
# Start the bus's server: start.sh COMMAND. Before it reads its streams, what it may shorten or remove of them is kept in
# `before` on the same volume: it cuts a block off where it finds a record damaged, and removes a stream that it cannot
# open (measured with 2.15.1). Links cost nothing and outlive a removal; the newest blocks, which it writes to, are
# copied. admin looks whether anything is missing, and removes or keeps them (services/admin/bus/store_watch.py).
STORE=${STORE:-/var/lib/bus}
streams=$STORE/jetstream/\$G/streams
before=$STORE/before
# Blocks of a stream that are copied; of 8 MB at most each.
COPIED=2

keep() {
    rm -rf "$before.new" && mkdir -m 700 "$before.new" || return
    for stream in "$streams"/*/; do
        name=$(basename "$stream")
        # Its records are for reading alone, and never synced.
        [ "$name" != EVENTS ] || continue
        cp -al "$stream" "$before.new/$name" || return
        ls "$stream/msgs" | grep '\.blk$' | sort -rn | head -n "$COPIED" | while read -r block; do
            copy=$before.new/$name/msgs/$block
            rm -f "$copy" && cp -p "$stream/msgs/$block" "$copy" || cp -l "$stream/msgs/$block" "$copy"
        done
    done
    mv "$before.new" "$before"
}

# What nobody has looked at since the last start is nearer to what there was.
if [ -d "$streams" ] && [ ! -e "$before" ]; then
    keep || echo 'start: unable to keep what the streams are now; started all the same' >&2
fi
exec "$@"
