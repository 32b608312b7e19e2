"""Moving house in containers, as docs/moving.md has it: a shadow's hashes, an mbox, /etc/aliases, .forward."""

from __future__ import annotations

from tests.support.deployment import Deployment, eventually
from tests.support.directory import MD5_CRYPT


def typed(made: Deployment, line: str, stdin: str = "") -> str:
    return made.run("admin", "bash", "-c", line, stdin=stdin)


def test_people_keep_their_passwords_and_their_mail(xeris: Deployment) -> None:
    typed(xeris, "useradd wayan")
    typed(xeris, "sed -i '/^wayan:/d' /var/qmail/auth/passwd")
    typed(
        xeris,
        "cat >/var/qmail/auth/shadow && chmod 400 /var/qmail/auth/shadow",
        f"wayan:{MD5_CRYPT}:19000:0:99999:7:::\n",
    )
    typed(xeris, "echo authuserdb authshadow >/var/qmail/control/authmodulelist")
    xeris.control("restart", "auth")
    xeris.control("up", "--wait", "--no-recreate", "auth")
    typed(
        xeris,
        "cat >/tmp/wayan.mbox; chown wayan /tmp/wayan.mbox",
        "From x@y Mon\nSubject: lama\n\nfrom the old house\n\n",
    )
    assert typed(xeris, "qmailctl su wayan -c 'mbox2maildir /tmp/wayan.mbox Maildir'") == "1 messages\n"
    assert b"from the old house" in xeris.message_with("wayan", "jonipass", b"lama")
    typed(
        xeris,
        "rm /var/qmail/control/authmodulelist /var/qmail/auth/shadow; echo wayan-password | qmailctl passwd wayan",
    )
    xeris.control("restart", "auth")
    xeris.control("up", "--wait", "--no-recreate", "auth")


def test_aliases_are_compiled_and_obeyed(xeris: Deployment) -> None:
    typed(xeris, "cat >/etc/aliases", "direksi: joni, budi@xeris.com\nkantor: :include:/var/qmail/alias/kantor\n")
    typed(xeris, "cd /var/qmail/alias && echo direksi >kantor && newinclude kantor && newaliases")
    typed(xeris, "echo '|fastforward -d /etc/aliases.cdb' >/var/qmail/alias/.qmail-default")
    try:
        xeris.send("ari@mail.xeris.com", ["kantor@xeris.com"], "Subject: rapat\n\nbesok\n")
        for name in ("joni", "budi"):
            assert b"besok" in xeris.message_with(name, f"{name}-password", b"Subject: rapat")
    finally:
        typed(xeris, "rm /var/qmail/alias/.qmail-default")


def test_a_forward_file_is_obeyed(xeris: Deployment) -> None:
    typed(xeris, "printf '%s\\n' '|dot-forward .forward' ./Maildir/ >/var/qmail/control/defaultdelivery")
    try:
        typed(xeris, "qmailctl su joni -c 'echo budi >.forward'")
        xeris.send("ari@mail.xeris.com", ["joni@xeris.com", "budi@xeris.com"], "Subject: terus\n\nditeruskan\n")

        def forwarded() -> bool:
            return sum(b"Subject: terus" in each for each in xeris.messages_by_now("budi", "budi-password")) == 2

        eventually(forwarded, "joni's copy is budi's, too; without a .forward the Maildir gets it")
        assert not any(b"Subject: terus" in each for each in xeris.messages("joni", "joni-password"))
    finally:
        typed(xeris, "rm /home/joni/.forward; echo ./Maildir/ >/var/qmail/control/defaultdelivery")
