"""Honest log-ins beside people who guess passwords: `python -m benchmarks.guessing`.

A whole deployment, per-user; clients and guessers speak IMAP on loopback, each from an address 127.0.x.y of its own.
Every honest log-in is an account's first by IMAP, so that it costs a verification; half of them come from a network
that the account is known to use (it has logged in by SMTP from there), half from nowhere known. Printed for each scene:
median and worst time of an honest log-in, how many were refused, and how many guesses a second were answered. Needs
uid 0.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.support.deployment import Deployment

# An office, a bot and a net of bots may not be kept out by the limits on connections: those are measured elsewhere.
CONTROL = {"concurrencyimap": 2000, "concurrencyimapperip": 200, "concurrencyincoming": 200}
SCENE_SECONDS = 9.0
PROBES = 6
GIVE_UP_SECONDS = 60.0
VICTIM, HONEST, ANY = "victim", "honest", "any"
NUMBERS = itertools.count(1)


@dataclass(slots=True)
class Scene:
    """What happened while some guessed."""

    name: str
    known: list[float] = field(default_factory=list)
    unknown: list[float] = field(default_factory=list)
    refused: int = 0
    guesses: int = 0


async def imap_login(port: int, address: str, user: str, password: str) -> bytes:
    """The answer to one log-in on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    try:
        await reader.readuntil(b"\n")
        writer.write(f"a LOGIN {user} {password}\r\n".encode())
        return await reader.readuntil(b"\n")
    finally:
        writer.close()


async def smtp_login(port: int, address: str, user: str, password: str) -> None:
    """By which an account's network becomes known."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    await reader.readuntil(b"\n")
    plain = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
    writer.write(f"AUTH PLAIN {plain}\r\n".encode())
    answer = await reader.readuntil(b"\n")
    writer.close()
    assert answer.startswith(b"235 "), answer


async def guess(port: int, address: str, users: Callable[[], str], scene: Scene) -> None:
    """Try passwords, each only once, as fast as they are answered."""
    while True:
        with suppress(OSError, asyncio.IncompleteReadError):
            await imap_login(port, address, users(), f"guess{next(NUMBERS)}")
            scene.guesses += 1
            continue
        await asyncio.sleep(0.2)


async def probe(port: int, address: str, user: str, times: list[float], scene: Scene) -> None:
    began = time.monotonic()
    try:
        async with asyncio.timeout(GIVE_UP_SECONDS):
            right = b"a OK" in await imap_login(port, address, user, "rightpass")
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        right = False
    times.append(time.monotonic() - began)
    scene.refused += not right


async def play(deployment: Deployment, number: int, scene: Scene, guessers: int, addresses: int, aim: str) -> None:
    """`aim`: whose passwords are tried, one account's, the honest people's or those of names that there may be."""
    imap, smtp = deployment.ports["IMAP_PORT"], deployment.ports["SUBMISSION_PORT"]
    accounts = [f"honest{number}x{n}" for n in range(2 * PROBES)]
    for n, account in enumerate(accounts[:PROBES]):
        await smtp_login(smtp, f"127.0.200.{n + 1}", account, "rightpass")
    names: Iterator[str] = itertools.repeat(VICTIM)
    if aim == HONEST:
        names = itertools.cycle([VICTIM, *accounts])
    elif aim == ANY:
        names = (f"name{number}" for number in itertools.count())
    rows = [
        asyncio.create_task(guess(imap, f"127.0.{10 + number}.{n % addresses + 1}", lambda: next(names), scene))
        for n in range(guessers)
    ]
    probes = []
    for n in range(PROBES):
        await asyncio.sleep(SCENE_SECONDS / PROBES)
        known = probe(imap, f"127.0.200.{n + 1}", accounts[n], scene.known, scene)
        fresh = probe(imap, f"127.0.{100 + number}.{n + 1}", accounts[PROBES + n], scene.unknown, scene)
        probes += [asyncio.create_task(known), asyncio.create_task(fresh)]
    await asyncio.gather(*probes)
    for row in rows:
        row.cancel()
    await asyncio.gather(*rows, return_exceptions=True)


async def timed(port: int, attempts: list[tuple[str, str]]) -> float:
    """How long one guess of each (address, account) takes in all, when all are made at once."""
    began = time.monotonic()
    await asyncio.gather(*[imap_login(port, address, user, f"spray{next(NUMBERS)}") for address, user in attempts])
    return time.monotonic() - began


def show(scene: Scene, seconds: float) -> str:
    cells = [f"{median(times):8.2f} {max(times):8.2f}" for times in (scene.known, scene.unknown)]
    return f"{scene.name:<44}{cells[0]}  {cells[1]}  {scene.refused:3} of {2 * PROBES}  {scene.guesses / seconds:9.1f}"


async def measure(deployment: Deployment) -> list[Scene]:
    port = deployment.ports["IMAP_PORT"]
    scenes = [
        (Scene("nobody guesses"), 0, 1, VICTIM),
        (Scene("90 connections of one address, any names"), 90, 1, ANY),
        (Scene("100 addresses, one account"), 100, 100, VICTIM),
        (Scene("100 addresses, the honest people's accounts"), 100, 100, HONEST),
    ]
    print(f"{'':44}{'known network':>17}  {'unknown':>17}")
    print(f"{'seconds':44}{'median':>8} {'worst':>8}  {'median':>8} {'worst':>8}  {'refused':>9}  guesses/s")
    for number, (scene, guessers, addresses, aim) in enumerate(scenes):
        began = time.monotonic()
        await play(deployment, number, scene, guessers, addresses, aim)
        print(show(scene, time.monotonic() - began), flush=True)
    spread = await timed(port, [("127.0.60.1", f"honest0x{n}") for n in range(15)])
    joined = await timed(port, [(f"127.0.61.{n + 1}", "sprayed") for n in range(10)])
    print(f"15 accounts tried from one address: {spread:.1f} s; one account from 10 addresses: {joined:.1f} s")
    return [scene for scene, *_ in scenes]


def main() -> int:
    if os.geteuid() != 0:
        print("guessing: uid 0 is needed, as the product has it", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="guessing-") as directory:
        deployment = Deployment(Path(directory))
        for name, value in CONTROL.items():
            deployment.control(name, f"{value}\n")
        deployment.start()
        try:
            for name in (VICTIM, *(f"honest{scene}x{n}" for scene in range(4) for n in range(2 * PROBES))):
                deployment.useradd(name, "rightpass")
            alone, *others = asyncio.run(measure(deployment))
        finally:
            deployment.stop()
    words = [f"{other.name}: {max(other.known):.2f} s, {max(other.unknown):.2f} s unknown" for other in others]
    print(f"guessing worst honest log-in ({max(alone.known + alone.unknown):.2f} s alone): " + "; ".join(words))
    return 0


if __name__ == "__main__":
    sys.exit(main())
