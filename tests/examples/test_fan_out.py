"""The demonstrations of started steps and of children do what they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def played(name: str) -> list[str]:
    """What a demonstration prints."""
    told = subprocess.run(
        [sys.executable, "-m", f"examples.{name}"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert 0 == told.returncode, told.stdout + told.stderr
    return told.stdout.splitlines()


def test_thumbnails_are_made_once_each_and_joined_last() -> None:
    """Eight images, then the montage of them."""
    lines = played("thumbnails")
    done = [line.split("  ")[-1] for line in lines if " s  process " in line]
    assert (9, "join") == (len(set(done)), done[-1])
    assert "Each image was scaled down exactly once." == lines[-1]


def test_orders_to_one_address_share_a_shipment() -> None:
    """Each order gets the outcome of its shipment, a failed one too."""
    lines = played("shipments")
    assert [
        "A-1: on its way as 2030-05-01/elm with driver-12",
        "A-2: on its way as 2030-05-01/oak with driver-11",
        "A-3: on its way as 2030-05-01/elm with driver-12",
        "A-4: on its way as 2030-05-01/elm with driver-12",
        "A-5: cannot be shipped: book-driver failed after 1 attempt: LookupError: nobody drives there",
    ] == lines[:5]
    assert "5 orders, 3 shipments:" in lines
