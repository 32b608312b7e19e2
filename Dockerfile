# One build, a target per role: a target holds its role, the shared library and its own dependencies, no more.
# Base images are build arguments, so that a release can give digests, and a mirror its own names.
ARG DEBIAN_IMAGE=debian:trixie-slim
ARG COREDNS_IMAGE=coredns/coredns:1.15.0
ARG NATS_IMAGE=nats:2.15.1-alpine

# --- what the roles stand on --------------------------------------------------------------------------------------------

# A package list that could not be fetched ends the build here, not at a package that is not found then.
FROM ${DEBIAN_IMAGE} AS system
RUN printf 'APT::Update::Error-Mode "any";\nAcquire::Retries "3";\n' >/etc/apt/apt.conf.d/80network

FROM system AS python
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3.13 \
    && rm -rf /var/lib/apt/lists/*
ENV PATH=/opt/venv/bin:/var/qmail/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONPATH=/opt/qmail PYTHONSAFEPATH=1 PYTHONNOUSERSITE=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /opt/qmail

# The installer stays here: no role's image has pip.
FROM python AS installer
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-pip python3.13-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3.13 -m venv --without-pip /opt/venv

FROM python AS library
COPY qmail qmail
RUN python3.13 -m compileall -q qmail

# Accounts of users/assign seen through NSS (maildrop refuses to run without them); users/ is a volume.
# maildrop's installation fails without its manual pages, which a slim image leaves out.
FROM python AS accounts
RUN apt-get update \
    && apt-get install -y --no-install-recommends -o Dpkg::Options::="--path-include=/usr/share/man/*" \
        dot-forward fastforward libnss-extrausers maildrop procps \
    && rm -rf /var/lib/apt/lists/* \
    && sed -i -E 's/^(passwd|group): .*/\1: files extrausers/' /etc/nsswitch.conf \
    && rm -rf /var/lib/extrausers && ln -s /var/qmail/users /var/lib/extrausers \
    && ln -s /usr/bin/maildrop /usr/bin/mailbot /usr/bin/reformail /usr/local/bin/
# Mail from people and from programs in .qmail, through the queue's socket.
COPY services/inject services/inject
COPY services/programs services/programs
RUN python3.13 -m compileall -q services \
    && cp services/programs/maildroprc /etc/maildroprc \
    && mkdir -p /var/qmail/bin \
    && for name in qmail-inject qmail-queue qmail-qmqpc qreceipt sendmail; do \
        ln -s /opt/qmail/services/inject/wrapper.sh "/var/qmail/bin/$name"; done \
    && for name in $(python3.13 -P -s -S -c 'from services.programs.__main__ import PROGRAMS; print(*PROGRAMS)'); do \
        ln -s /opt/qmail/services/programs/wrapper.sh "/var/qmail/bin/$name"; done \
    && ln -s /opt/qmail/services/programs/scripts/* /var/qmail/bin/ \
    && for path in /usr/sbin/sendmail /usr/lib/sendmail /usr/bin/mailq /usr/bin/newaliases; do \
        ln -s /var/qmail/bin/sendmail "$path"; done \
    # Debian's fastforward and dot-forward look for qmail where Debian has it. The aliases lie on a volume.
    && mkdir -p /var/lib/qmail/bin && ln -s /var/qmail/bin/qmail-queue /var/lib/qmail/bin/qmail-queue \
    && ln -s /var/qmail/control /var/lib/qmail/control \
    && ln -s /var/qmail/alias/aliases /etc/aliases && ln -s /var/qmail/alias/aliases.cdb /etc/aliases.cdb

# --- each role's packages, by hash --------------------------------------------------------------------------------------

FROM installer AS smtpd-packages
COPY lock/smtpd.txt lock.txt
RUN --mount=type=cache,target=/root/.cache/pip pip --python /opt/venv install --require-hashes --no-deps -r lock.txt

FROM installer AS queue-packages
COPY lock/queue.txt lock.txt
RUN --mount=type=cache,target=/root/.cache/pip pip --python /opt/venv install --require-hashes --no-deps -r lock.txt

FROM installer AS delivery-local-packages
COPY lock/delivery-local.txt lock.txt
RUN --mount=type=cache,target=/root/.cache/pip pip --python /opt/venv install --require-hashes --no-deps -r lock.txt

FROM installer AS delivery-remote-packages
COPY lock/delivery-remote.txt lock.txt
RUN --mount=type=cache,target=/root/.cache/pip pip --python /opt/venv install --require-hashes --no-deps -r lock.txt

FROM installer AS auth-packages
COPY lock/auth.txt lock.txt
RUN --mount=type=cache,target=/root/.cache/pip pip --python /opt/venv install --require-hashes --no-deps -r lock.txt

FROM installer AS pop3-packages
COPY lock/pop3.txt lock.txt
RUN --mount=type=cache,target=/root/.cache/pip pip --python /opt/venv install --require-hashes --no-deps -r lock.txt

FROM installer AS imap-packages
COPY lock/imap.txt lock.txt
RUN --mount=type=cache,target=/root/.cache/pip pip --python /opt/venv install --require-hashes --no-deps -r lock.txt

FROM installer AS log-packages
COPY lock/log.txt lock.txt
RUN --mount=type=cache,target=/root/.cache/pip pip --python /opt/venv install --require-hashes --no-deps -r lock.txt

FROM installer AS admin-packages
COPY lock/admin.txt lock.txt
RUN --mount=type=cache,target=/root/.cache/pip pip --python /opt/venv install --require-hashes --no-deps -r lock.txt

# --- the roles, in the order that mail travels ----------------------------------------------------------------------------
# Users are numbers, those of RIGHTS.toml. A role that acts as its users starts as uid 0 with two or three capabilities and
# nothing else, and takes its own uid before its first line of Python runs: with no-new-privileges the engine cannot give
# capabilities to another uid, neither by the file nor by itself.

FROM python AS smtpd
COPY --from=smtpd-packages /opt/venv /opt/venv
COPY --from=library /opt/qmail/qmail qmail
COPY services/smtpd services/smtpd
RUN python3.13 -m compileall -q services
USER 901:920
CMD ["python", "-P", "-s", "-m", "services.smtpd"]

FROM python AS queue
COPY --from=queue-packages /opt/venv /opt/venv
COPY --from=library /opt/qmail/qmail qmail
COPY services/queue services/queue
RUN python3.13 -m compileall -q services
USER 902:902
CMD ["python", "-P", "-s", "-m", "services.queue"]

FROM accounts AS delivery-local
COPY --from=delivery-local-packages /opt/venv /opt/venv
COPY --from=library /opt/qmail/qmail qmail
COPY services/delivery/*.py services/delivery/
COPY services/delivery/local services/delivery/local
RUN python3.13 -m compileall -q services
USER 0:0
ENTRYPOINT ["setpriv", "--reuid=903", "--regid=903", "--clear-groups", "--inh-caps=-all,+setuid,+setgid,+kill", "--ambient-caps=+setuid,+setgid,+kill", "--"]
CMD ["python", "-P", "-s", "-m", "services.delivery.local"]

FROM python AS delivery-remote
COPY --from=delivery-remote-packages /opt/venv /opt/venv
COPY --from=library /opt/qmail/qmail qmail
COPY services/delivery/*.py services/delivery/
COPY services/delivery/remote services/delivery/remote
RUN python3.13 -m compileall -q services
USER 904:904
CMD ["python", "-P", "-s", "-m", "services.delivery.remote"]

FROM python AS auth
COPY --from=auth-packages /opt/venv /opt/venv
COPY --from=library /opt/qmail/qmail qmail
COPY services/auth services/auth
# Chapter 7.2's files for PAM; whoever has his own mounts them over these.
RUN python3.13 -m compileall -q services && cp services/auth/pam.d/* /etc/pam.d/
USER 0:0
CMD ["python", "-P", "-s", "-m", "services.auth"]

FROM python AS pop3
COPY --from=pop3-packages /opt/venv /opt/venv
COPY --from=library /opt/qmail/qmail qmail
COPY services/pop3 services/pop3
RUN python3.13 -m compileall -q services
USER 0:0
ENTRYPOINT ["setpriv", "--reuid=905", "--regid=920", "--clear-groups", "--inh-caps=-all,+setuid,+setgid", "--ambient-caps=+setuid,+setgid", "--"]
CMD ["python", "-P", "-s", "-m", "services.pop3"]

FROM python AS imap
COPY --from=imap-packages /opt/venv /opt/venv
COPY --from=library /opt/qmail/qmail qmail
COPY services/imap services/imap
RUN python3.13 -m compileall -q services
USER 0:0
ENTRYPOINT ["setpriv", "--reuid=906", "--regid=920", "--clear-groups", "--inh-caps=-all,+setuid,+setgid", "--ambient-caps=+setuid,+setgid", "--"]
CMD ["python", "-P", "-s", "-m", "services.imap"]

# --- beside them ------------------------------------------------------------------------------------------------------------

FROM python AS log
COPY --from=log-packages /opt/venv /opt/venv
COPY --from=library /opt/qmail/qmail qmail
COPY services/log services/log
RUN python3.13 -m compileall -q services
USER 908:908
CMD ["python", "-P", "-s", "-m", "services.log"]

# The tutorial's machine: a shell with every command.
FROM accounts AS admin
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        bind9-dnsutils inetutils-telnet iputils-ping less nano netcat-openbsd openssl vim-tiny \
    && rm -rf /var/lib/apt/lists/*
COPY --from=admin-packages /opt/venv /opt/venv
COPY --from=library /opt/qmail/qmail qmail
COPY RIGHTS.toml ./
COPY services/admin services/admin
COPY services/bus services/bus
RUN python3.13 -m compileall -q services \
    && for name in qmailctl qmail-qstat qmail-qread qmail-showctl tcprules tcprulescheck maildir2mbox mbox2maildir qmail-pw2u newaliases checkpassword svc svok svstat; do \
        ln -sf /opt/qmail/services/admin/wrapper.sh "/var/qmail/bin/$name"; done \
    && ln -s /var/qmail/bin/qmailctl /usr/local/bin/qmailctl \
    && ln -sf /var/qmail/bin/newaliases /usr/bin/newaliases \
    && mkdir -p /usr/lib/courier-imap/etc \
    && ln -s /var/qmail/control/authdaemonrc /var/qmail/auth/authldaprc /var/qmail/auth/authpgsqlrc /usr/lib/courier-imap/etc/ \
    && ln -s /var/qmail/control/nologin /etc/nologin \
    && for name in useradd userdel usermod groupadd passwd; do \
        ln -s /opt/qmail/services/admin/wrapper.sh "/usr/local/sbin/$name"; done \
    && mv /etc/skel /usr/share/skel && ln -s /var/qmail/users/skel /etc/skel \
    && mkdir -p /etc/rc.d/init.d /usr/lib/courier-imap/libexec /etc/init.d \
    && ln -s /var/qmail/bin/qmailctl /etc/rc.d/init.d/qmail && ln -s /var/qmail/bin/qmailctl /etc/init.d/qmail \
    && ln -s /var/qmail/bin/qmailctl /usr/lib/courier-imap/libexec/imapd.rc
USER 0:0
CMD ["python", "-P", "-s", "-m", "services.admin"]

# The stock server with our configuration; its users are a file that admin makes.
FROM ${NATS_IMAGE} AS bus
COPY services/bus/nats.conf /etc/nats/nats-server.conf
COPY services/bus/health.sh services/bus/start.sh /etc/nats/
USER 907:907
ENTRYPOINT ["sh", "/etc/nats/start.sh", "nats-server"]
CMD ["-c", "/etc/nats/nats-server.conf"]

# The stock server with our Corefile, and one tool for its health check, because it has no shell and no client.
FROM system AS nslookup
RUN apt-get update && apt-get install -y --no-install-recommends busybox-static && rm -rf /var/lib/apt/lists/*

FROM ${COREDNS_IMAGE} AS dns
COPY --from=nslookup /usr/bin/busybox /bin/nslookup
COPY services/dns/Corefile services/dns/health.db services/dns/localhost.zone services/dns/named.local /
