"""``celery -A app aiki ...``, through Celery's own plugin entry point."""

from aiki_celery.cli.commands import aiki
from aiki_celery.cli.controls import cancel, pause, resume, wake
from aiki_celery.cli.forking import fork
from aiki_celery.cli.schedules import schedule

__all__ = ["aiki", "cancel", "fork", "pause", "resume", "schedule", "wake"]
