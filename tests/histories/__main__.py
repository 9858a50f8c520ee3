"""Records the golden runs that are missing."""

import tempfile
from pathlib import Path

from aiki_celery.journal.journal import Journal
from aiki_celery.settings import AikiSettings
from tests.contract.house import House
from tests.histories.recording import GOLDEN, record

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(AikiSettings(journal=f"sqlite:///{Path(folder) / 'golden.sqlite3'}"))
        journal.upgrade()
        GOLDEN.mkdir(exist_ok=True)
        print("\n".join(record(House(journal, inline_wait=0.0), GOLDEN)) or "nothing is missing")
        journal.close()
