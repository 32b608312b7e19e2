"""CPU and memory of a tree of processes, from /proc."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Process:
    """One process: CPU in seconds, its ended children's included."""

    pid: int
    parent: int
    command: str
    cpu_seconds: float


def read_processes() -> dict[int, Process]:
    """All processes by pid."""
    found: dict[int, Process] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
        except OSError:
            continue
        fields = stat.rpartition(")")[2].split()
        cpu = sum(int(fields[i]) for i in (11, 12, 13, 14)) * TICK_SECONDS
        found[int(entry.name)] = Process(int(entry.name), int(fields[1]), command, cpu)
    return found


def tree(root: int) -> list[Process]:
    """A process and all its descendants."""
    processes = read_processes()
    wanted, members = {root}, []
    grown = True
    while grown:
        grown = False
        for process in processes.values():
            if process.pid not in wanted and process.parent in wanted:
                wanted.add(process.pid)
                grown = True
    members = [processes[pid] for pid in wanted if pid in processes]
    return members


def reset_peak_rss(pid: int) -> None:
    """Have the kernel forget a process's peak: from now on it is what is resident now (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_rss_bytes(pid: int) -> int:
    """The most that was ever resident of a process, or since its peak was reset."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no VmHWM for {pid}: it has ended, or this kernel does not tell")
