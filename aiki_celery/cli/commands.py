"""The commands."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

import click

from aiki_celery.cli.timeline import describe, run_line
from aiki_celery.errors import AikiError
from aiki_celery.extension import Aiki
from aiki_celery.model.status import RunKind, RunStatus

_STATUSES = click.Choice([status.value for status in RunStatus])


@click.group()
def aiki() -> None:
    """Durable workflows: the journal's tables, runs."""


@aiki.group()
def db() -> None:
    """The journal's tables."""


@db.command()
@click.pass_context
def upgrade(context: click.Context) -> None:
    """Make or upgrade the tables."""
    extension = _extension(context)
    revision = _told(extension.upgrade_journal)
    click.echo(f"{extension.journal.connections.shown_url} is at revision {revision}.")


@db.command()
@click.pass_context
def current(context: click.Context) -> None:
    """Show the revision the tables are at."""
    extension = _extension(context)
    click.echo(_told(extension.journal.revision) or "none")


@db.command()
@click.pass_context
def check(context: click.Context) -> None:
    """Exit with 0 if the tables are those of this package, else say why not and exit with 1."""
    extension = _extension(context)
    _told(extension.journal.ensure_ready)
    click.echo(f"{extension.journal.connections.shown_url} is ready.")


@aiki.group()
def run() -> None:
    """Runs of workflows."""


@run.command("list")
@click.option(
    "--status", "statuses", multiple=True, type=_STATUSES, help="Only runs in this state; may be repeated."
)
@click.option("--workflow", help="Only runs of this workflow; with --all also steps of this task.")
@click.option("--reference-id", help="Only the run with this reference id.")
@click.option("--parent", "parent_id", help="Only what this run has started: children and steps.")
@click.option("--all", "with_steps", is_flag=True, help="Started steps too, not workflows alone.")
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="Most runs to show."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def list_runs(
    context: click.Context,
    statuses: tuple[str, ...],
    workflow: str | None,
    reference_id: str | None,
    parent_id: str | None,
    with_steps: bool,
    limit: int,
    as_json: bool,
) -> None:
    """List runs, newest first: of workflows, unless told otherwise."""
    extension = _extension(context)
    _told(extension.journal.ensure_ready)
    runs = extension.journal.views.find(
        statuses=[RunStatus(status) for status in statuses],
        workflow=workflow,
        reference_id=reference_id,
        kinds=() if with_steps or parent_id else (RunKind.WORKFLOW,),
        parent_id=parent_id,
        limit=limit,
    )
    for found in runs:
        click.echo(json.dumps(asdict(found)) if as_json else run_line(found))
    if not runs and not as_json:
        click.echo("No runs.", err=True)


@run.command()
@click.argument("run_id")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_context
def show(context: click.Context, run_id: str, as_json: bool) -> None:
    """Show what one run did, is doing and waits for, and what became of all it has started."""
    extension = _extension(context)
    found = _told(lambda: extension.view(run_id))
    views, history = extension.journal.views, extension.history(run_id)
    steps, started = views.steps(run_id), views.started(run_id)
    if as_json:
        facts = {"run": asdict(found), "steps": [step._asdict() for step in steps]}
        facts |= {"started": [asdict(child) for child in started.values()]}
        click.echo(json.dumps(facts | {"history": [asdict(line) for line in history]}))
    else:
        click.echo(describe(found, steps, started, history))


@run.command()
@click.argument("run_id")
@click.pass_context
def requeue(context: click.Context, run_id: str) -> None:
    """Queue a stalled run again, after what stalled it was mended."""
    extension = _extension(context)
    _told(lambda: extension.requeue(run_id))
    click.echo(f"Run {run_id} is queued.")


@run.command()
@click.argument("run_id")
@click.pass_context
def retry(context: click.Context, run_id: str) -> None:
    """Queue a failed run again, to go on from the step that failed."""
    extension = _extension(context)
    _told(lambda: extension.retry(run_id))
    click.echo(f"Run {run_id} is queued.")


def _extension(context: click.Context) -> Aiki:
    """Give the extension of the application that ``-A`` names."""
    app = context.obj.app
    app.loader.import_default_modules()
    app.finalize()
    extension = getattr(app, "aiki", None)
    if not isinstance(extension, Aiki):
        raise click.ClickException(
            f"The Celery application {app.main!r} has no Aiki. Add one: aiki = Aiki(app)"
        )
    return extension


def _told(work: Any) -> Any:
    """Do work, and turn our errors into a message and exit code 1."""
    try:
        return work()
    except AikiError as error:
        click.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(1)
