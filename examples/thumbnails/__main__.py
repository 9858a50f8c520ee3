"""The demonstration: two workers, one of them for images alone, and one workflow."""

import importlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from examples.thumbnails import pgm

IMAGES, SIZE = 8, 32


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="aiki-thumbnails-") as name:
        folder = Path(name)
        os.environ.update(
            GALLERY_JOURNAL=f"sqlite:///{folder}/gallery.sqlite3", GALLERY_LOG=f"{folder}/gallery.log"
        )
        gallery = importlib.import_module("examples.thumbnails.gallery")
        images = [folder / f"{number}.pgm" for number in range(IMAGES)]
        for number, image in enumerate(images):
            pgm.write(image, pgm.gradient(SIZE, 255 * (number + 1) // IMAGES))
        workers = [start_worker("front", "celery", folder), start_worker("images", "images", folder)]
        try:
            began = time.monotonic()
            handle = gallery.make_montage.enqueue([str(image) for image in images], f"{folder}/montage.pgm")
            montage = Path(handle.get(timeout=60))
            return told(folder, montage, time.monotonic() - began)
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.wait(timeout=30)


def told(folder: Path, montage: Path, seconds: float) -> int:
    lines = [line.split(maxsplit=2) for line in (folder / "gallery.log").read_text().splitlines()]
    began = float(lines[0][1])
    for process, at, what in lines:
        print(f"{float(at) - began:6.2f} s  process {process}  {what}")
    rows = pgm.read(montage)
    processes = len({line[0] for line in lines})
    print(f"\n{montage.name}: {len(rows[0])} x {len(rows)}, made in {seconds:.1f} s by {processes} processes")
    once = sorted(line[2] for line in lines) == sorted(
        ["join", *(f"scale-down {n}.pgm" for n in range(IMAGES))]
    )
    print(
        "Each image was scaled down exactly once." if once else "Some image was not scaled down exactly once."
    )
    return 0 if once and (len(rows[0]), len(rows)) == (IMAGES * SIZE // 2, SIZE // 2) else 1


def start_worker(name: str, queue: str, folder: Path) -> "subprocess.Popen[bytes]":
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "examples.thumbnails.gallery",
        "worker",
        "--concurrency",
        "4",
    ]
    command += ["--queues", queue, "--hostname", f"{name}@demo", "--without-gossip", "--without-mingle"]
    with (folder / f"{name}.worker.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


if __name__ == "__main__":
    sys.exit(main())
