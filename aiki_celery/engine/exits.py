"""Code that asks for the end of its process, where others run in that process: it has failed, and nothing ends."""

from __future__ import annotations

from aiki_celery.engine.ports import Host

#: What ends a process, or its main thread.
EXITS = (SystemExit, KeyboardInterrupt)


def refuse_exit(host: Host, what: str, error: BaseException) -> None:
    """Make an ordinary failure of an exit, unless the process is to end by it. What becomes of that, a crash decides.

    Args:
        host: Who runs the code.
        what: Whose code it is.
        error: What it has raised, one of :data:`EXITS`.

    Raises:
        RuntimeError: The process goes on.
    """
    if host.outlives(error):
        raise RuntimeError(told_exit(what, error, "that others run in")) from error


def told_exit(what: str, error: BaseException, where: str) -> str:
    """Say what became of an exit, and where that is so."""
    return f"{what} ended with {error!r}, which ends no process {where}"
