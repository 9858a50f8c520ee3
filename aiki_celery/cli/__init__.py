"""``celery -A app aiki ...``, through Celery's own plugin entry point."""

from aiki_celery.cli.commands import aiki

__all__ = ["aiki"]
