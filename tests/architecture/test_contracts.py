"""The import contracts in `setup.cfg` speak of everything that exists."""

from __future__ import annotations

import configparser
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def test_contracts_name_what_exists_plainly() -> None:
    """`package.part.**` leaves out the part's own `__init__`: right only while there is no such part."""
    settings = configparser.ConfigParser()
    settings.read(REPOSITORY / "setup.cfg")
    contracts = [settings[section] for section in settings.sections() if section.startswith("importlinter:")]
    patterns = [
        line.strip().removesuffix(".**")
        for contract in contracts
        for option in contract
        for line in contract[option].splitlines()
        if line.strip().endswith(".**")
    ]
    assert [] == [part for part in patterns if (REPOSITORY / part.replace(".", "/")).is_dir()]
