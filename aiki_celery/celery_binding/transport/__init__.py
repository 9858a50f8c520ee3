"""A broker without a server: kombu messages in a SQLite file, shared by the processes of one machine."""

from kombu.transport import TRANSPORT_ALIASES

from aiki_celery.celery_binding.transport.address import SCHEME
from aiki_celery.celery_binding.transport.failures import BrokerFileUnusable
from aiki_celery.celery_binding.transport.transport import Transport

__all__ = ["BrokerFileUnusable", "Transport", "register"]


def register() -> None:
    """Teach kombu the `aiki+sqlite://` URLs. Calling it again changes nothing.

    kombu cuts such a URL at the plus sign and looks for the part before it; when it switches between
    alternate URLs it looks for the whole scheme. Both are registered.
    """
    for alias in (SCHEME.partition("+")[0], SCHEME):
        TRANSPORT_ALIASES[alias] = "aiki_celery.celery_binding.transport:Transport"
