"""Which queues a message goes to."""

import re
from collections.abc import Iterable
from functools import lru_cache

PREDECLARED = {"amq.direct": "direct", "amq.topic": "topic", "amq.fanout": "fanout"}


def matching_queues(type_: str, bindings: Iterable[tuple[str, str]], routing_key: str) -> list[str]:
    """Return the queues bound for a routing key, each once.

    Args:
        type_: `direct`, `topic` or `fanout`.
        bindings: (routing key, queue) pairs of the exchange.
        routing_key: what the message was sent with.
    """
    if type_ == "fanout":
        found = {queue for _, queue in bindings}
    elif type_ == "topic":
        dotted = f".{routing_key}" if routing_key else ""
        found = {queue for pattern, queue in bindings if _topic(pattern).fullmatch(dotted)}
    else:
        found = {queue for key, queue in bindings if key == routing_key}
    return sorted(found)


@lru_cache(maxsize=1024)
def _topic(pattern: str) -> re.Pattern[str]:
    """Compile an AMQP topic: words between dots, `*` for one word, `#` for any number of words, also none.

    Every word brings a dot with it, so that `a.#` matches `a`; the routing key must be given one in front.
    """
    forms = {"#": r"(?:\.[^.]+)*", "*": r"\.[^.]+"}
    words = pattern.split(".") if pattern else []
    return re.compile("".join(forms.get(word) or r"\." + re.escape(word) for word in words))
