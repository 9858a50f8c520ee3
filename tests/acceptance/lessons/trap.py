"""A module that nobody imports: a forged name in the journal or the broker would."""

from __future__ import annotations

from tests.harness.effects import record_effect

record_effect("trapped")


class Trap(Exception):
    """An error only a forger knows."""
