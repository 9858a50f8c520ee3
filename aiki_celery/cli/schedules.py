"""``celery -A app aiki schedule ...``."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import click

from aiki_celery.cli.access import extension_of, told
from aiki_celery.cli.commands import aiki
from aiki_celery.cli.moments import moment
from aiki_celery.cli.timeline import run_lines
from aiki_celery.model.clock import from_datetime
from aiki_celery.model.schedules import ScheduleView, Skip

#: Runs that are shown of one schedule.
SHOWN = 10


@aiki.group()
def schedule() -> None:
    """Schedules: when runs start by themselves."""


@schedule.command("list")
@click.option("--workflow", help="Only schedules of this workflow.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def list_schedules(context: click.Context, workflow: str | None, as_json: bool) -> None:
    """List schedules by name."""
    extension = extension_of(context)
    found = told(lambda: extension.schedules.list(workflow))
    for view in found:
        click.echo(_as_json(view) if as_json else _line(view))
    if not found and not as_json:
        click.echo("No schedules. Those that code declares are here once a worker has started.", err=True)


@schedule.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_context
def show(context: click.Context, name: str, as_json: bool) -> None:
    """Show one schedule, the last due times for which no run was started, and its newest runs."""
    extension = extension_of(context)
    view = told(lambda: extension.schedules.get(name))
    if as_json:
        click.echo(_as_json(view))
        return
    runs = extension.journal.views.find(schedule=name, limit=SHOWN)
    lines = [f"{view.name}  {view.workflow}", *_facts(view), "", "newest runs"]
    click.echo("\n".join([*lines, *([f"  {line}" for line in run_lines(runs)] or ["  none"])]))


@schedule.command()
@click.argument("name")
@click.pass_context
def pause(context: click.Context, name: str) -> None:
    """Start no more runs until it is resumed."""
    extension = extension_of(context)
    told(lambda: extension.schedules.pause(name))
    click.echo(f"Schedule {name} is paused.")


@schedule.command()
@click.argument("name")
@click.pass_context
def resume(context: click.Context, name: str) -> None:
    """Go on with the next due time."""
    extension = extension_of(context)
    view = told(lambda: extension.schedules.resume(name))
    click.echo(f"Schedule {name} is active; it is next due at {_told_at(view.next_due_at, view)}.")


@schedule.command()
@click.argument("name")
@click.pass_context
def trigger(context: click.Context, name: str) -> None:
    """Start a run now, beside the due times."""
    extension = extension_of(context)
    handle = told(lambda: extension.schedules.trigger(name))
    click.echo(f"Run {handle.id} is queued.")


@schedule.command()
@click.argument("name")
@click.argument("start")
@click.argument("end")
@click.pass_context
def backfill(context: click.Context, name: str, start: str, end: str) -> None:
    """Start a run for each due time from START to END that has none.

    Both are ISO 8601, as in 2026-03-01 or 2026-03-01T06:00+01:00; without an offset, in the schedule's time zone.
    """
    extension = extension_of(context)
    zone = _zone_of(told(lambda: extension.schedules.get(name)))
    first, last = _instant("START", start, zone), _instant("END", end, zone)
    handles = told(lambda: extension.schedules.backfill(name, first, last))
    for handle in handles:
        click.echo(f"Run {handle.id} is queued.")
    if not handles:
        click.echo("Every due time of the past has its run.", err=True)


def _zone_of(view: ScheduleView) -> ZoneInfo:
    try:
        return ZoneInfo(view.timezone)
    except LookupError:
        raise click.ClickException(
            f"Schedule {view.name} is told in the time zone {view.timezone!r}, which this machine does not know. "
            "Where the system has no time zones, install the package tzdata."
        ) from None


def _instant(argument: str, text: str, zone: ZoneInfo) -> datetime:
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise click.BadParameter(f"{argument}: {error}") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=zone)


def _line(view: ScheduleView) -> str:
    due = f"  next {_told_at(view.next_due_at, view)}" if view.next_due_at else ""
    return f"{view.name}  {view.workflow}  {view.state:<7}  {view.timing}{_zone(view)}{due}"


def _facts(view: ScheduleView) -> list[str]:
    window = "the latest missed one" if view.catchup_window is None else f"up to {view.catchup_window} late"
    facts = {
        "state": view.state + (f" since {_told_at(view.paused_at, view)}" if view.paused_at else ""),
        "timing": f"{view.timing}{_zone(view)}",
        "next": _next(view),
        "last": view.last_due_at and f"{_told_at(view.last_due_at, view)}  run {view.last_run_id}",
        "skipped": view.last_skip and _skipped(view.last_skip, view),
        "overlap": view.overlap,
        "catch up": window,
        "jitter": f"up to {view.jitter}" if view.jitter else None,
        "input": json.dumps(view.input),
        "options": json.dumps(view.options) if view.options else None,
        "made": f"by {'a call' if view.origin == 'runtime' else 'code'}, {_told_at(view.created_at, view)}",
    }
    return [f"  {name:<10} {value}" for name, value in facts.items() if value]


def _next(view: ScheduleView) -> str | None:
    if view.next_due_at is None or view.next_start_at is None:
        return None
    late = view.next_start_at - view.next_due_at
    return _told_at(view.next_due_at, view) + (f", started {late} later" if late else "")


def _skipped(skip: Skip, view: ScheduleView) -> str:
    until = f" to {_told_at(skip.last, view)}" if skip.last != skip.first else ""
    return f"{_told_at(skip.first, view)}{until}: {skip.reason}"


def _zone(view: ScheduleView) -> str:
    return f" {view.timezone}" if view.timing.startswith("cron") else ""


def _told_at(at: datetime | None, view: ScheduleView) -> str:
    """Give an instant as the schedule's own clock shows it, and in UTC where that is another one."""
    if at is None:
        return "none"
    universal = moment(from_datetime(at))
    if view.timezone == "UTC" or not view.timing.startswith("cron"):
        return universal
    try:
        local = at.astimezone(ZoneInfo(view.timezone)).isoformat(sep=" ", timespec="seconds")
    except LookupError:  # a time zone that other machines know
        return universal
    return f"{local} ({universal})"


def _as_json(view: ScheduleView) -> str:
    return json.dumps(asdict(view) | {"state": view.state}, default=_plain)


def _plain(value: Any) -> Any:
    return value.total_seconds() if isinstance(value, timedelta) else value.isoformat()
