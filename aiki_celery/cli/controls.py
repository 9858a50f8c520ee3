"""Asking runs to end, to wait, to go on."""

from __future__ import annotations

import click

from aiki_celery.cli.access import extension_of, told
from aiki_celery.cli.commands import run


@run.command()
@click.argument("run_id")
@click.option("--reason", default="", help="Why, for people.")
@click.option("--force", is_flag=True, help="Leave out its clean-up: for a run whose code is gone.")
@click.pass_context
def cancel(context: click.Context, run_id: str, reason: str, force: bool) -> None:
    """Cancel a run and what it has started. Its code cleans up first, unless it has never begun."""
    extension = extension_of(context)
    is_new = told(lambda: extension.controller.cancel(run_id, reason, force=force))
    status = told(lambda: extension.view(run_id)).status
    if not is_new:
        click.echo(f"Run {run_id} had been cancelled before; it is {status}.")
    elif status.is_terminal:
        click.echo(f"Run {run_id} is {status}.")
    else:
        click.echo(f"Run {run_id} is being cancelled.")


@run.command()
@click.argument("run_id")
@click.pass_context
def pause(context: click.Context, run_id: str) -> None:
    """Pause a run; the step under way is finished. What it has started goes on."""
    extension = extension_of(context)
    is_new = told(lambda: extension.controller.pause(run_id))
    status = told(lambda: extension.view(run_id)).status
    if not is_new:
        click.echo(f"Run {run_id} had been paused before; it is {status}.")
    elif status == "paused":
        click.echo(f"Run {run_id} is paused.")
    else:
        click.echo(f"Run {run_id} will be paused after the step it is at.")


@run.command()
@click.argument("run_id")
@click.pass_context
def resume(context: click.Context, run_id: str) -> None:
    """Let a paused run go on."""
    extension = extension_of(context)
    was_paused = told(lambda: extension.controller.resume(run_id))
    click.echo(f"Run {run_id} goes on." if was_paused else f"Run {run_id} was not paused.")


@run.command()
@click.argument("run_id")
@click.pass_context
def wake(context: click.Context, run_id: str) -> None:
    """End a run's sleep before its time."""
    extension = extension_of(context)
    told(lambda: extension.controller.wake(run_id))
    click.echo(f"Run {run_id} is woken.")
