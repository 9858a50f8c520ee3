"""The application, and a workflow that starts the tasks it has had before."""

import os

from celery import Celery

from aiki_celery import Aiki, WorkflowRun, workflow
from examples.newsletter import mail

app = Celery("newsletter")
aiki = Aiki(app, journal=os.environ.get("NEWSLETTER_JOURNAL", "sqlite:///newsletter.sqlite3"))


@workflow(name="send-issue", version="1.0.0")
def send_issue(run: WorkflowRun, number: int, readers: list[str]) -> list[str]:
    issue = run.start(mail.render.s(number)).result()
    first, others = readers[0], readers[1:]
    proof = run.start(mail.send.s(first, issue)).result()  # the editor's copy goes out before all others
    run.sleep(0.2, name="time-to-call-it-back")
    return [proof, *run.gather(*[run.start(mail.send.s(reader, issue)) for reader in others])]
