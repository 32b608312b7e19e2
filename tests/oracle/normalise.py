"""The replacement of varying values that was applied to every recorded output (bytes in, bytes out).
Norm(t0,t1): t0,t1 = epoch seconds just before / after the case ran. Only values that lie within
[t0-1, t1+2] are replaced, so dates written in a case's own input are left alone."""

from __future__ import annotations

import calendar
import re
import time

Match = re.Match[bytes]

MON = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


class Norm:
    def __init__(s, t0: float, t1: float) -> None:
        s.t0 = int(t0) - 1
        s.t1 = int(t1) + 2

    def near(s, e: int) -> bool:
        return s.t0 <= e <= s.t1

    def __call__(s, b: bytes) -> bytes:
        def d1(m: Match) -> bytes:
            e = calendar.timegm((int(m[3]), MON.index(m[2].decode()) + 1, int(m[1]), int(m[4]), int(m[5]), int(m[6])))
            return b"<DATE>" if s.near(e) else m[0]

        b = re.sub(
            rb"(?<![0-9])(\d{1,2}) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (\d{4}) (\d\d):(\d\d):(\d\d) [-+]0000",  # noqa: E501
            d1,
            b,
        )

        def d2(m: Match) -> bytes:
            e = calendar.timegm((int(m[7]), MON.index(m[2].decode()) + 1, int(m[3]), int(m[4]), int(m[5]), int(m[6])))
            return b"<CTIME>" if s.near(e) else m[0]

        b = re.sub(
            rb"(Mon|Tue|Wed|Thu|Fri|Sat|Sun) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) ([ \d]\d) (\d\d):(\d\d):(\d\d) (\d{4})",  # noqa: E501
            d2,
            b,
        )

        def d3(m: Match) -> bytes:
            try:
                e = calendar.timegm(time.strptime(m[1].decode(), "%Y%m%d%H%M%S"))
            except ValueError:
                return m[0]
            return b"<STAMP>.<PID>.qmail@" if s.near(e) else m[0]

        b = re.sub(rb"(\d{14})\.(\d+)\.qmail@", d3, b)
        b = re.sub(rb"\(qmail \d+ (invoked [^)\n]*\)); <DATE>", rb"(qmail <QP> \1; <DATE>", b)
        b = re.sub(rb"(?<![0-9])(\d{10})\.(\d+)(?![0-9])", lambda m: b"<TIME>.<PID>" if s.near(int(m[1])) else m[0], b)
        b = re.sub(rb"(?<![0-9])(\d+)\.(\d{10})(?![0-9])", lambda m: b"<PID>.<TIME>" if s.near(int(m[2])) else m[0], b)
        b = re.sub(rb"250 ok (\d{10}) qp (\d+)", lambda m: b"250 ok <TIME> qp <QP>" if s.near(int(m[1])) else m[0], b)
        b = re.sub(rb"(?m)^qp \d+$", b"qp <QP>", b)
        return b
