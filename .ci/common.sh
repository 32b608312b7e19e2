# Sourced by the scripts beside it: where they keep what they make, and how they bear what fails now and then.
# The cache lies outside the checkout, in $QMAIL_CI_CACHE (default: ~/.cache/qmail-ci).

cache=${QMAIL_CI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/qmail-ci}
mkdir -p "$cache"
tries=3
pause_seconds=5

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

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
        -o Acquire::Retries="$tries" -o DPkg::Lock::Timeout=300 "$@" >>"$cache/apt.log" 2>&1 ||
        { tail -n 20 "$cache/apt.log" >&2 && return 1; }
}
