"""Making runs from the records of others."""

from __future__ import annotations

import re

import click

from aiki_celery.cli.access import extension_of, told
from aiki_celery.cli.commands import run


@run.command()
@click.argument("run_id")
@click.option(
    "--from-step",
    help="Leave out what is recorded from here on: a place, as run show lists them, or the name of a step.",
)
@click.option("--version", help="Another version of the workflow.")
@click.option("--reference-id", help="Your own name for the new run.")
@click.pass_context
def fork(
    context: click.Context,
    run_id: str,
    from_step: str | None,
    version: str | None,
    reference_id: str | None,
) -> None:
    """Make a new run that begins with what this one has recorded, and goes on by itself from there.

    By default, of a failed run what was recorded before the step that failed, of a cancelled one what was recorded
    before it was cancelled, and of any other all of it.
    """
    extension = extension_of(context)
    is_place = from_step is not None and re.fullmatch(r"-?[0-9]{1,18}", from_step)
    place = int(from_step) if from_step is not None and is_place else from_step
    new_id, _ = told(lambda: extension.fork(run_id, place, version, reference_id))
    click.echo(f"Run {new_id} is queued.")
