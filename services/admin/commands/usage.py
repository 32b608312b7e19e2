"""What qmailctl says about itself: the lines of the tutorial's script, and ours."""

from __future__ import annotations

USAGE = (
    "Usage: qmailctl\n"
    "{start|stop|restart|doqueue|flush|reload|stat|pause|cont|cdb|check|showctl|queue|help}\n"
    "check {address [host name] | user@domain}\n"
    "{useradd|userdel [-r]|passwd|usermod -L|-U|--quota QUOTA} name | users\n"
    "routepasswd [-d] relay[:port] user\n"
    "refusals | acknowledge | rescue LOSS [put]\n"
    "domain add name [user] | domain remove name | init name\n"
    "logins [lift account|address|all]\n"
    "dns | version | log [tail's options] | su [name] [-c command] | {inject|sendmail} [options] < message\n"
)
HELP = """\
    stop -- stops mail service (smtp connections refused, nothing goes out)
    start -- starts mail service (smtp connection accepted, mail can go out)
    pause -- temporarily stops mail service (connections accepted, nothing leaves)
    cont -- continues paused mail service
    stat -- displays status of mail service
    cdb -- checks the rules for smtp clients
    check -- looks for faults in control files, aliases, rules and certificate; changes nothing
    check address [host name] -- says which rule of tcp.smtp such a client meets, and what it sets
    check user@domain -- says which entries of badmailfrom and badrcptto refuse this address
    showctl -- says what the control files say (qmail-showctl)
    restart -- stops and starts every role; returns when mail can come in and go out
    doqueue -- schedules queued messages for immediate delivery
    reload -- sends qmail-send HUP, rereading locals, virtualdomains, concurrencies and queuelifetime
    queue -- shows status of queue
    alrm -- same as doqueue
    flush -- same as doqueue
    hup -- same as reload
    useradd name -- makes an account; password asked, or from standard input
    userdel [-r] name -- ends an account; -r removes its home
    passwd name -- changes a password
    usermod -L name, -U name -- locks, unlocks log-in
    routepasswd relay[:port] user -- the password for a user= of control/smtproutes; asked, or from standard input;
        -d removes it
    refusals -- how often each entry of badmailfrom and badrcptto has refused since smtpd's start
    domain add name [user], domain remove name -- a mail domain: control files, zone, certificate; user's if named
    init name -- another name for this host, as config-fast gives it; the old names stay
    usermod --quota 100000000S,10000C name -- bounds bytes and messages of its Maildir; --quota none: no longer
    acknowledge -- what stat says of lost records is known; its exit code is no longer 3
    rescue LOSS, rescue LOSS put -- lists what is left of a loss; puts it back on the bus
    users -- lists the accounts
    logins -- who has to wait for wrong passwords; lift and an account, an address or all: lets them try at once
    dns -- shows the zones of our name server, and what the public DNS must say
    version -- says which version this is, and the release that its volumes belong to
    log -- the last lines of log/qmail/current in local time; -f follows
    su name -- a shell as the account, in its home; without name where control and alias are
    inject, sendmail -- qmail-inject and sendmail: a message from standard input, by root unless USER says who
"""
