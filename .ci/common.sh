# Sourced by the scripts beside it: where they keep what they make, and how they bear what fails now and then.
# The cache lies outside the checkout, in $QMAIL_CI_CACHE (default: ~/.cache/qmail-ci).

cache=${QMAIL_CI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/qmail-ci}
mkdir -p "$cache"
# As the kernel names it, to be found among its mounts.
cache=$(cd "$cache" && pwd -P)
tries=3
pause_seconds=5

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# The cache is one run's at a time. Whatever that run has started holds the lock too; a daemon must be given 9>&-.
one_at_a_time() {
    exec 9>"$cache/lock"
    flock --nonblock 9 || { say 'another run is at work: waiting for its end' && flock 9; }
}

# --- the network ----------------------------------------------------------------------------------------------------------

# tried <command>...: again where it fails, three times in all.
tried() {
    local try
    for ((try = 1; try <= tries; try++)); do
        if "$@"; then return; fi
        say "failed, $try of $tries times: $*"
        if ((try < tries)); then sleep "$pause_seconds"; fi
    done
    return 1
}

# Without the error mode apt calls it success when a list could not be fetched, and the installation fails for it.
# A list that stays away may be one that we need nothing of: that, too, the installation decides.
update_lists() {
    tried apt-get update -qq -o APT::Update::Error-Mode=any -o Acquire::Retries="$tries" "$@" >&2 ||
        say 'going on with the lists that are here'
}

# install_packages <package>...
install_packages() {
    say "installing $*"
    update_lists
    DEBIAN_FRONTEND=noninteractive tried apt-get install -qq -y --no-install-recommends \
        -o Acquire::Retries="$tries" -o DPkg::Lock::Timeout=300 "$@" >>"$cache/apt.log" 2>&1 9>&- ||
        { tail -n 20 "$cache/apt.log" >&2 && return 1; }
}

# --- files ----------------------------------------------------------------------------------------------------------------

# kept <file> <command>...: made by the command, if it is not there, under another name first: it is there whole or not at all.
kept() {
    local file=$1
    shift
    if [ -x "$file" ]; then return; fi
    rm -f "$file.new"
    "$@" "$file.new"
    mv "$file.new" "$file"
}

mounted_in() { findmnt --noheadings --list --output TARGET | awk -v root="$1" '$0 == root || index($0, root "/") == 1'; }

# Remove a directory. A debootstrap that was killed leaves /proc and more mounted in its own, where rm must not go.
remove_root() {
    mounted_in "$1" | tac | xargs --no-run-if-empty --delimiter='\n' umount --lazy || true
    if [ -n "$(mounted_in "$1")" ]; then
        say "$1 is not removed: still mounted in it: $(mounted_in "$1" | tr '\n' ' ')"
        return 1
    fi
    rm -rf --one-file-system "$1"
}
