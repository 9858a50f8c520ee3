"""From a broker URL, as kombu hands it over, to the path of a file."""

import os

from aiki_celery.celery_binding.transport.failures import BrokerFileUnusable

SCHEME = "aiki+sqlite"


def database_path(hostname: str | None, virtual_host: str | None) -> str:
    """Return the absolute path that a broker URL names.

    Args:
        hostname: `sqlite:///<path>`: what kombu leaves of the URL after the plus sign.
        virtual_host: the path where kombu has split the URL itself (alternate URLs), without its first slash.

    Raises:
        BrokerFileUnusable: if the URL names no file.
    """
    if hostname and "://" in hostname:
        path = hostname.partition("://")[2].partition("?")[0]
        path = path[1:] if path.startswith("/") else path
    else:
        path = virtual_host or ""
    if path in {"", "/", ":memory:"}:
        raise BrokerFileUnusable(
            path or ":memory:",
            "it is no file, so processes cannot share it",
            f"Name one in broker_url, as in {SCHEME}:///shop.sqlite3 or {SCHEME}:////var/lib/shop.sqlite3.",
        )
    return os.path.realpath(path)
