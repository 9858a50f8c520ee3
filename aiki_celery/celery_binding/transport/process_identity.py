"""A name for a process that outlives it, and the question whether the named process is dead.

A process id alone does not do: ids are used again, differ between containers, and begin anew after a reboot.
"""

import os
from functools import lru_cache
from pathlib import Path

UNKNOWN = "?"


def this_process() -> str:
    """Return this process as `machine:namespace:pid:start`, each part `?` where the system does not tell."""
    return _identity(os.getpid())


def is_known_dead(identity: str) -> bool:
    """Tell whether the process named by `this_process` is certainly gone.

    Returns:
        False also for processes that cannot be judged from here: another machine, another container, no
        `/proc`.
    """
    try:
        machine, namespace, pid, start = identity.split(":")
        number = int(pid)
    except ValueError:
        return False
    if UNKNOWN in {machine, namespace, start} or (machine, namespace) != _surroundings():
        return False
    return _start_time(number) not in {start, UNKNOWN}


@lru_cache(maxsize=1)
def _identity(pid: int) -> str:
    return ":".join([*_surroundings(), str(pid), _start_time(pid)])


@lru_cache(maxsize=1)
def _surroundings() -> tuple[str, str]:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return boot, os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        return UNKNOWN, UNKNOWN


def _start_time(pid: int) -> str:
    """Return the start of a process in clock ticks since boot, `""` if there is no such (living) process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    except OSError:
        return UNKNOWN
    # The second field is the command in parentheses and may hold anything, so count from its end.
    fields = text.rpartition(")")[2].split()
    state, start = fields[0], fields[19]
    return "" if state in {"Z", "X"} else start
