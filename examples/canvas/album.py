"""Existing tasks, and one line for Aiki."""

import os
import time

from celery import Celery, chord

from aiki_celery import Aiki

app = Celery("album")
aiki = Aiki(app, journal=os.environ.get("ALBUM_JOURNAL", "sqlite:///album.sqlite3"))


def told(line):
    """Keep what was done outside of every process that may be killed."""
    with open(os.environ.get("ALBUM_LEDGER", "album.txt"), "a") as ledger:
        ledger.write(f"{line}\n")


@app.task(name="album-resize")
def resize(image, seconds):
    told(f"resize {image}")
    time.sleep(seconds)
    return f"{image}.small"


@app.task(name="album-bind")
def bind(images):
    told("bind")
    return " + ".join(images)


pages = chord([resize.s("cat", 0), resize.s("dog", 3), resize.s("emu", 0)], bind.s())
