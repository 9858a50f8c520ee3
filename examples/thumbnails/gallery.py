"""A gallery: the images of an album are scaled down side by side, then a montage is made of them."""

import os
import time
from pathlib import Path

from celery import Celery

from aiki_celery import Aiki, Retry, WorkflowRun, current_step, task, workflow
from examples.thumbnails import pgm

app = Celery("gallery")
aiki = Aiki(app, journal=os.environ.get("GALLERY_JOURNAL", "sqlite:///gallery.sqlite3"))
app.conf.worker_prefetch_multiplier = 1  # one image for each free process, the next one when it is done


@task(name="scale-down", queue="images", timeout=60, retry=Retry.fixed(max_attempts=3, delay=0.2))
def scale_down(image: str) -> str:
    """Images are large: the files stay on the disk, and the journal holds their names."""
    source = Path(image)
    small = source.with_name(f"small-{source.name}")
    time.sleep(0.3)  # a larger image would take that long
    pgm.write(small, pgm.halved(pgm.read(source)))
    _log(f"{current_step().task} {source.name}")
    return str(small)


@task(name="join")
def join(images: list[str], montage: str) -> str:
    pgm.write(Path(montage), pgm.side_by_side([pgm.read(Path(image)) for image in images]))
    _log("join")
    return montage


@workflow(name="make-montage", version="1.0.0")
def make_montage(run: WorkflowRun, images: list[str], montage: str) -> str:
    small = run.map(
        scale_down, images, max_concurrency=3
    )  # each a Celery task; this worker is free meanwhile
    return join.run(run, small, montage)


def _log(line: str) -> None:
    """Note who did it, for the demonstration."""
    path = os.environ.get("GALLERY_LOG", "gallery.log")
    with open(path, "a") as file:
        print(os.getpid(), time.time(), line, file=file)
