#!/bin/bash
# Claws Mail, on a screen of its own, with an account at mail.xeris.com: it reads a message, answers it and files it.
# By hand: not a part of `make test`, because it clicks where Claws Mail 4.1.1 (Debian 12) has its buttons.
#
#   apt-get install claws-mail xvfb openbox xdotool imagemagick curl
#   QMAIL_DIR=var SMTP_PORT=2525 SUBMISSION_PORT=2587 IMAP_PORT=2143 tests/clients/claws.sh [DIRECTORY]
#
# against a running `make run`, as root (mail.xeris.com is this machine for Claws Mail alone). Screenshots are in DIRECTORY
# (default build/claws): look at them. Exit code 0: what Claws Mail did is on the server.
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
out=${1:-$top/build/claws}
home=$out/home
name=claws$$
password=$name-pass
export DISPLAY=:${CLAWS_DISPLAY:-78}

: "${QMAIL_DIR:?}" "${SMTP_PORT:?}" "${SUBMISSION_PORT:?}" "${IMAP_PORT:?}"
say() { printf 'claws: %s\n' "$*" >&2; }
imap() { curl -s -m 10 -u "$name:$password" "imap://127.0.0.1:$IMAP_PORT/$1" -X "$2"; }

# eventually WHAT COMMAND...: again until it succeeds, 30 seconds.
eventually() {
    local what=$1 ends=$((SECONDS + 30))
    shift
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS > ends)); then
            say "$what: not within 30 s"
            screenshot failed
            return 1
        fi
        sleep 0.3
    done
}

screenshot() { import -window root "$out/$1.png"; }
picture() { import -window root rgb:- | md5sum; }

# Until the screen stands still.
still() {
    local before='' now
    now=$(picture)
    until [ "$before" = "$now" ]; do
        sleep 0.5
        before=$now
        now=$(picture)
    done
}

window() { eventually "window $1" xdotool search --onlyvisible --name "$1" && still; }
click() { xdotool mousemove "$1" "$2" click "${3:-1}" && still; }
enter_password() { window 'Input password' && xdotool type "$password" && xdotool key Return; }
accept_certificate() { window 'TLS certificate' && click 780 547; }
has() { imap "$1" "$2" | grep -q "$3"; }

settings() {
    rm -rf "$home"
    mkdir -p "$home/.claws-mail" "$home"/Mail/{inbox,sent,draft,queue,trash} "$home/.config/gtk-3.0"
    # A cursor that blinks would never stand still.
    printf '[Settings]\ngtk-cursor-blink=0\ngtk-enable-animations=0\n' >"$home/.config/gtk-3.0/settings.ini"
    # No dictionary, no question about it.
    printf '[Common]\nenable_aspell=0\n' >"$home/.claws-mail/clawsrc"
    printf '127.0.0.1 localhost mail.xeris.com\n' >"$out/hosts"
    cat >"$home/.claws-mail/accountrc" <<END
[Account: 1]
account_name=$name@xeris.com
is_default=1
name=Joni
address=$name@xeris.com
protocol=3
receive_server=mail.xeris.com
smtp_server=mail.xeris.com
user_id=$name
use_smtp_auth=1
smtp_user_id=$name
set_imapport=1
imap_port=$IMAP_PORT
set_smtpport=1
smtp_port=$SUBMISSION_PORT
ssl_imap=2
ssl_smtp=2
set_sent_folder=1
sent_folder=#imap/$name@xeris.com/INBOX/Sent
END
    cat >"$home/.claws-mail/folderlist.xml" <<END
<?xml version="1.0" encoding="UTF-8"?>
<folderlist>
    <folder type="imap" name="$name@xeris.com" account_id="1">
        <folderitem name="INBOX" path="INBOX" type="inbox"/>
    </folder>
    <folder type="mh" name="Mailbox" path="Mail">
        <folderitem type="inbox" name="inbox" path="inbox"/>
        <folderitem type="outbox" name="sent" path="sent"/>
        <folderitem type="draft" name="draft" path="draft"/>
        <folderitem type="queue" name="queue" path="queue"/>
        <folderitem type="trash" name="trash" path="trash"/>
    </folder>
</folderlist>
END
}

question() {
    printf '%s\r\n' 'From: Ari <ari@xeris.com>' "To: $name@xeris.com" 'Subject: Rapat hari Senin' \
        "Message-ID: <$name@xeris.com>" 'Date: Mon, 23 Nov 2026 17:00:00 +0000' '' 'Joni, apakah hari Senin bisa?' '' Ari |
        curl -s --mail-from ari@xeris.com --mail-rcpt "$name@xeris.com" -T - "smtp://127.0.0.1:$SMTP_PORT"
    eventually 'the question' has INBOX 'SEARCH SUBJECT Rapat' ' 1'
}

started=()
trap 'for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done' EXIT

start() {
    Xvfb "$DISPLAY" -screen 0 1280x900x24 >"$out/xvfb.log" 2>&1 &
    started+=($!)
    eventually 'the screen' xdotool getdisplaygeometry
    openbox >"$out/openbox.log" 2>&1 &
    started=($! "${started[@]}")
    HOME=$home NO_AT_BRIDGE=1 unshare --mount sh -c 'mount --bind "$1" /etc/hosts && exec claws-mail' sh "$out/hosts" \
        >"$out/claws.log" 2>&1 &
    started=($! "${started[@]}")
    window 'Claws Mail 4'
    local id
    id=$(xdotool search --onlyvisible --name 'Claws Mail 4' | tail -1)
    xdotool windowactivate "$id" windowsize "$id" 1240 860 windowmove "$id" 10 10
    still
}

mkdir -p "$out"
chmod 0755 "$out"
echo "$password" | "$top/qmailctl" useradd "$name" >&2
settings
question
start

say 'folders: STARTTLS, the certificate accepted, the password'
click 90 163 3
click 190 405
window 'TLS certificate'
screenshot 1-certificate
accept_certificate
window 'Input password'
click 538 491
click 660 451
enter_password
eventually 'the folder Sent' has '' 'LIST "" *' 'INBOX.Sent'
still

say 'read'
click 90 180
click 450 163
eventually 'the flag Seen' has INBOX 'FETCH 1 (FLAGS)' Seen
screenshot 2-read

say 'answer'
click 403 85
window 'Compose message'
click 300 500
xdotool key ctrl+End
xdotool type $'\nBisa, jam sembilan.'
still
screenshot 3-answer
click 38 75
enter_password
accept_certificate
eventually 'the flag Answered' has INBOX 'FETCH 1 (FLAGS)' Answered
eventually 'the copy in Sent' has INBOX.Sent 'SEARCH BODY sembilan' ' 1'
still

say 'file it in a new folder'
click 450 163
xdotool key ctrl+o
window 'Select folder'
click 573 345
click 564 629
xdotool key ctrl+a
xdotool type rapat
xdotool key Return
still
click 744 629
eventually 'the message in rapat' has INBOX.rapat 'SEARCH ANSWERED SUBJECT Rapat' ' 1'
still
click 104 265
click 450 163
screenshot 4-filed
say "done: look at $out/*.png"
