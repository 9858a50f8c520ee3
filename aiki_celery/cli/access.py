"""What every command needs: the application's extension, and errors told in one line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

import click

from aiki_celery.errors import AikiError
from aiki_celery.extension import Aiki

T = TypeVar("T")


class Commands(click.Group):
    """The group of all commands."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse what is no text, whichever command it is for: neither a journal nor a terminal has a place for it."""
        for given in args:
            if not given.isprintable() and given != given.encode(errors="replace").decode():
                raise click.ClickException(f"{given!r:.200} is no UTF-8.")
        return super().parse_args(ctx, args)


def extension_of(context: click.Context) -> Aiki:
    """Give the extension of the application that ``-A`` names."""
    app = context.obj.app
    app.loader.import_default_modules()
    app.finalize()
    extension = getattr(app, "aiki", None)
    if not isinstance(extension, Aiki):
        raise click.ClickException(
            f"The Celery application {app.main!r} has no Aiki. Add one: aiki = Aiki(app)"
        )
    told(lambda: extension.journal)  # settings that cannot be used are told in one line too
    return extension


def told(work: Callable[[], T]) -> T:
    """Do work, and turn our errors into a message and exit code 1."""
    try:
        return work()
    except AikiError as error:
        click.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(1)
