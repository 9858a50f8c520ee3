"""The world outside: effects that cannot be taken back, written to a file that is not the journal.

It knows an idempotency key when it sees one twice, as payment gateways do; here it only counts.
"""

import json
import os


def ledger() -> str:
    return os.environ.get("SHOP_LEDGER", "ledger.jsonl")


def take_effect(what: str, key: str) -> None:
    line = json.dumps({"effect": what, "key": key, "process": os.getpid()}) + "\n"
    file = os.open(ledger(), os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o644)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def effects() -> list[dict[str, object]]:
    try:
        with open(ledger()) as file:
            return [json.loads(line) for line in file]
    except FileNotFoundError:
        return []
