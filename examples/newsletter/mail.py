"""Tasks as a Celery application has had them for years: nothing here is of aiki_celery."""

import os
import time
from pathlib import Path
from typing import Any

from celery import shared_task


@shared_task(name="mail.render")
def render(number: int) -> dict[str, str]:
    return {"subject": f"Issue {number}", "body": f"All that is new in issue {number}."}


@shared_task(
    bind=True,
    name="mail.send",
    autoretry_for=(ConnectionError,),
    retry_kwargs={"max_retries": 5, "countdown": 0.5},
)
def send(self: Any, to: str, issue: dict[str, str]) -> str:
    """The mail server knows a message by its id, which is the task's: the same for every try."""
    log = Path(os.environ.get("MAIL_LOG", "mail.log"))
    if to.startswith("carol") and self.request.retries == 0:
        _write(log, f"refused {to}")
        raise ConnectionError("the mail server is busy")
    time.sleep(0.3)
    _write(log, f"sent {to} {issue['subject']}, id {self.request.id}")
    return f"{to}: sent in try {self.request.retries + 1}"


def _write(log: Path, line: str) -> None:
    with log.open("a") as file:
        print(line, file=file)
