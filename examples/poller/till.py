"""A till that books the orders of a shop, page by page, for ever."""

import os
import signal
from pathlib import Path

from celery import Celery

from aiki_celery import Aiki, WorkflowRun, current_step, task, workflow

app = Celery("till")
aiki = Aiki(app, journal=os.environ.get("TILL_JOURNAL", "sqlite:///till.sqlite3"))

PAGE = 5


@task(name="read-page")
def read_page(shop: str, since: int) -> list[str]:
    """Gives the next orders: some, or none if there are no new ones."""
    return Path(shop).read_text().splitlines()[since : since + PAGE]


@task(name="book")
def book(order: str, books: str) -> None:
    """Books an order once, however often it is told to: by the key of the step."""
    key = current_step().idempotency_key
    path = Path(books)
    if not (path.exists() and key in path.read_text()):
        with path.open("a") as file:
            file.write(f"{order} {key}\n")
    _have_an_accident(order)


@workflow(name="poll-shop", version="1.0.0")
def poll_shop(run: WorkflowRun, shop: str, books: str, since: int, until: int) -> str:
    orders = read_page.run(run, shop, since)
    for number, order in enumerate(orders, 1):
        book.run(run, order, books)
        run.progress(since + number, until, f"booked {order}")
    since += len(orders)
    if since >= until:  # for the demonstration: a real till does not come to an end
        return f"{since} orders in {run.generation + 1} generations"
    run.sleep(0.1 if orders else 1, name="until there may be more")
    run.continue_as_new(shop, books, since, until)


def _have_an_accident(order: str) -> None:
    """For the demonstration: the process dies at this order, after it was booked."""
    flag = os.environ.get("TILL_ACCIDENT")
    if flag and order == "order-13" and not Path(flag).exists():
        Path(flag).touch()
        os.kill(os.getpid(), signal.SIGKILL)
