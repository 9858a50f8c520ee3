"""The web server that the links lead to: /decide/<token>?by=...&approved=..."""

import sys
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIServer, make_server

from aiki_celery import InputInvalid, RunFinished, TokenRejected, TokenUsed
from examples.approval.flows import decided


def application(request: dict[str, Any], respond: Callable[..., Any]) -> Iterable[bytes]:
    """What a view of Flask or Django would do."""
    token = request["PATH_INFO"].rpartition("/")[2]
    asked = {name: values[0] for name, values in parse_qs(request.get("QUERY_STRING", "")).items()}
    try:
        decided.exchange(token, asked)
        status, text = "200 OK", "Thank you."
    except TokenUsed:
        # A link that is clicked twice, a request that is sent again: it worked the first time.
        status, text = "200 OK", "You have decided already."
    except RunFinished:
        status, text = "410 Gone", "Too late."
    except (TokenRejected, InputInvalid) as error:
        status, text = "400 Bad Request", type(error).__name__
    respond(status, [("Content-Type", "text/plain")])
    return [text.encode()]


def serve(port: int = 0) -> WSGIServer:
    return make_server("127.0.0.1", port, application)


if __name__ == "__main__":
    with serve(8000) as server:
        print("http://127.0.0.1:8000/decide/<token>?by=ann&approved=true")
        sys.exit(server.serve_forever())
