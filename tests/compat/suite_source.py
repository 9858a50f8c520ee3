"""Where the suite comes from: the source distribution of the installed Celery, and an environment to run it in."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build" / "celery-suite"
CELERY = importlib.metadata.version("celery")


def unpack_suite() -> Path:
    """Folder with ``t/`` and its pytest settings, from the source distribution of the installed Celery.

    Celery's own code stays out: the suite is to import the installed one.
    """
    folder = BUILD / f"celery-{CELERY}"
    if folder.exists():
        return folder
    BUILD.mkdir(parents=True, exist_ok=True)
    download = [*pip(sys.executable), "download", "--no-deps", "--no-binary", ":all:", "--dest", str(BUILD)]
    subprocess.run([*download, f"celery=={CELERY}"], check=True)
    (archive,) = BUILD.glob(f"celery-{CELERY}.tar.*")
    with tarfile.open(archive) as tar:
        wanted = (f"celery-{CELERY}/t/", f"celery-{CELERY}/pyproject.toml")
        members = [member for member in tar.getmembers() if member.name.startswith(wanted)]
        tar.extractall(BUILD, members, filter="data")
    return folder


def make_environment() -> Path:
    """Virtual environment with this package and what the suite needs; made once."""
    home = BUILD / f"venv-{CELERY}"
    installed = home / ".installed"
    if not installed.exists():
        venv.create(home, with_pip=True, clear=True)
        install = [*pip(home / "bin" / "python"), "install", "--quiet"]
        wanted = [f"celery=={CELERY}", "-r", str(HERE / "requirements.txt"), "--editable", str(ROOT)]
        subprocess.run([*install, *wanted], check=True)
        installed.touch()
    return home


def pip(python: str | Path) -> list[str]:
    return [str(python), "-m", "pip", "--disable-pip-version-check"]
