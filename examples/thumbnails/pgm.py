"""Grey images as text, in the format PGM: as much of an image library as an example needs."""

from pathlib import Path

Rows = list[list[int]]


def read(path: Path) -> Rows:
    _, width, _, _, *values = path.read_text().split()
    numbers = [int(value) for value in values]
    return [numbers[start : start + int(width)] for start in range(0, len(numbers), int(width))]


def write(path: Path, rows: Rows) -> None:
    """Write to another file first: a step that is run twice leaves no half image behind."""
    body = "\n".join(" ".join(map(str, row)) for row in rows)
    unfinished = path.with_suffix(".part")
    unfinished.write_text(f"P2\n{len(rows[0])} {len(rows)}\n255\n{body}\n")
    unfinished.replace(path)


def gradient(size: int, brightest: int) -> Rows:
    return [[brightest * (row + column) // (2 * size) for column in range(size)] for row in range(size)]


def halved(rows: Rows) -> Rows:
    return [
        [(above[i] + above[i + 1] + below[i] + below[i + 1]) // 4 for i in range(0, len(above), 2)]
        for above, below in zip(rows[::2], rows[1::2], strict=True)
    ]


def side_by_side(images: list[Rows]) -> Rows:
    return [[value for part in parts for value in part] for parts in zip(*images, strict=True)]
