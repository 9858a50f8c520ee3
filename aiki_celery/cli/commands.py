"""The commands."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from aiki_celery.cli.access import Commands, extension_of, told
from aiki_celery.cli.facts import facts_of
from aiki_celery.cli.sending import send_json
from aiki_celery.cli.timeline import describe, run_lines
from aiki_celery.model.status import RunKind, RunStatus

_LIMIT = click.IntRange(1, 1_000_000_000)
_STATUSES = click.Choice([status.value for status in RunStatus])


@click.group(cls=Commands)
def aiki() -> None:
    """Durable workflows: the journal's tables, runs, schedules."""


@aiki.group()
def db() -> None:
    """The journal's tables."""


@db.command()
@click.pass_context
def upgrade(context: click.Context) -> None:
    """Make or upgrade the tables."""
    extension = extension_of(context)
    revision = told(extension.upgrade_journal)
    click.echo(f"{extension.journal.connections.shown_url} is at revision {revision}.")


@db.command()
@click.pass_context
def current(context: click.Context) -> None:
    """Show the revision the tables are at."""
    extension = extension_of(context)
    click.echo(told(extension.journal.revision) or "none")


@db.command()
@click.pass_context
def check(context: click.Context) -> None:
    """Exit with 0 if the tables are those of this package, else say why not and exit with 1."""
    extension = extension_of(context)
    told(extension.journal.ensure_ready)
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
@click.option("--schedule", help="Only runs that this schedule has started.")
@click.option("--all", "with_steps", is_flag=True, help="Started steps too, not workflows alone.")
@click.option("--limit", default=50, show_default=True, type=_LIMIT, help="Most runs to show.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def list_runs(
    context: click.Context,
    statuses: tuple[str, ...],
    workflow: str | None,
    reference_id: str | None,
    parent_id: str | None,
    schedule: str | None,
    with_steps: bool,
    limit: int,
    as_json: bool,
) -> None:
    """List runs, newest first: of workflows, unless told otherwise."""
    extension = extension_of(context)
    told(extension.journal.ensure_ready)
    runs = extension.journal.views.find(
        statuses=[RunStatus(status) for status in statuses],
        workflow=workflow,
        reference_id=reference_id,
        kinds=() if with_steps or parent_id else (RunKind.WORKFLOW,),
        parent_id=parent_id,
        schedule=schedule,
        # One more tells whether the list stops here.
        limit=limit + 1,
    )
    shown = runs[:limit]
    for line in [json.dumps(facts_of(found)) for found in shown] if as_json else run_lines(shown):
        click.echo(line)
    if len(runs) > limit:
        click.echo(f"These are the newest {limit:,}; there are more. Show them with --limit.", err=True)
    if not runs and not as_json:
        click.echo("No runs.", err=True)


@run.command()
@click.argument("run_id")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_context
def show(context: click.Context, run_id: str, as_json: bool) -> None:
    """Show what one run did, is doing and waits for, and what became of all it has started."""
    extension = extension_of(context)
    found = told(lambda: extension.view(run_id))
    views, history = extension.journal.views, extension.history(run_id)
    steps, started = views.steps(run_id), views.started(run_id)
    inbox = extension.journal.inbox.received(run_id)
    if as_json:
        facts = {"run": facts_of(found), "steps": [step._asdict() for step in steps]}
        facts |= {"started": [asdict(child) for child in started.values()]}
        facts |= {"inbox": [event._asdict() for event in inbox]}
        click.echo(json.dumps(facts | {"history": [asdict(line) for line in history]}))
    else:
        click.echo(describe(found, steps, started, history, inbox))


@run.command()
@click.argument("run_id")
@click.pass_context
def requeue(context: click.Context, run_id: str) -> None:
    """Queue a stalled run again, after what stalled it was mended."""
    extension = extension_of(context)
    told(lambda: extension.requeue(run_id))
    click.echo(f"Run {run_id} is queued.")


@run.command()
@click.argument("run_id")
@click.pass_context
def retry(context: click.Context, run_id: str) -> None:
    """Queue a failed run again, to go on from the step that failed."""
    extension = extension_of(context)
    told(lambda: extension.retry(run_id))
    click.echo(f"Run {run_id} is queued.")


@run.command()
@click.argument("run_id")
@click.argument("event")
@click.argument("payload", default="null")
@click.option("--id", "event_id", help="Your own name for it, under which the run counts it once.")
@click.pass_context
def send(context: click.Context, run_id: str, event: str, payload: str, event_id: str | None) -> None:
    """Send an event to a run: its name, and its payload as JSON."""
    extension = extension_of(context)
    is_new = told(lambda: send_json(extension, run_id, event, payload, event_id))
    click.echo(
        f"Run {run_id} has received {event}."
        if is_new
        else f"Run {run_id} had received it before, as {event_id}."
    )
