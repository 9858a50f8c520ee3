"""What can be wrong with the broker's file, said with its remedy."""

from kombu.exceptions import OperationalError


class BrokerFileUnusable(OperationalError):
    """The file of the embedded broker cannot be used as it is; trying again will not help.

    A `kombu.exceptions.OperationalError`, as callers of `apply_async` expect, but none of the transport's
    connection errors: a worker stops with this message instead of reconnecting for ever.
    """

    def __init__(self, path: str, problem: str, remedy: str) -> None:
        super().__init__(f"The broker file {path!r} cannot be used: {problem}. {remedy}")
        self.path = path
