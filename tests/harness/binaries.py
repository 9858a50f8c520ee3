"""Finding the servers' programs: a laptop without one skips, CI fails."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/opt/homebrew/bin", "/opt/homebrew/sbin")


def require_binary(*names: str, package: str) -> Path:
    """The first of these programs that is installed.

    Ends the test if there is none: skipped on a laptop, failed where `CI=true`.
    """
    for name in names:
        if found := find_binary(name):
            return found
    message = f"{names[0]} is not installed (package {package})"
    if os.environ.get("CI") == "true":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def find_binary(name: str) -> Path | None:
    """Looks in PATH, in the folders for system programs and in Debian's folder per PostgreSQL version."""
    postgres_folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    path = os.pathsep.join([os.environ.get("PATH", ""), *map(str, postgres_folders), *SYSTEM_FOLDERS])
    found = shutil.which(name, path=path)
    return Path(found) if found else None


def _version(folder: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", folder.parent.name))
