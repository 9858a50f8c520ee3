"""What a database does for a statement: how many rows of which index or table it reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from aiki_celery.journal.journal import Journal
from tests.contract.counting import Counted


def explain(journal: Journal, counted: Counted, number: int = 0) -> str:
    """The plan of a statement that was counted, with the parameters it had, as text."""
    statement, parameters = counted.statements[number], counted.parameters[number]
    prefix = {"sqlite": "EXPLAIN QUERY PLAN ", "postgresql": "EXPLAIN (ANALYZE, FORMAT JSON) "}.get(
        journal.connections.dialect, "ANALYZE FORMAT=JSON "
    )
    with journal.connections.engine.connect() as connection:
        rows = connection.exec_driver_sql(prefix + statement, parameters).all()
        connection.rollback()
    if journal.connections.dialect == "sqlite":
        return "\n".join(row[-1] for row in rows)
    return rows[0][0] if isinstance(rows[0][0], str) else json.dumps(rows[0][0])


def rows_read(journal: Journal, plan: str) -> float:
    """How many rows were read for the plan in all, those that were thrown away included; SQLite does not tell."""
    if journal.connections.dialect == "sqlite":
        return 0
    return sum(_read(node) for node in _nodes(json.loads(plan)))


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for part in tree:
            yield from _nodes(part)


def _read(node: dict[str, Any]) -> float:
    if "Node Type" in node:
        removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        return (
            float(node["Actual Loops"] * (node["Actual Rows"] + removed))
            if "Scan" in node["Node Type"]
            else 0
        )
    return float(node.get("r_rows") or 0) * float(node.get("r_loops") or 1) if "table_name" in node else 0
