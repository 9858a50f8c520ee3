"""The two quickest mutants are killed at every run; `python -m tests.mutants` tries them all."""

from __future__ import annotations

import pytest

from tests.mutants.mutations import MUTATIONS
from tests.mutants.trials import SUBSETS, run_trial


@pytest.mark.parametrize("mutant", ["fencing", "write-once"])
def test_mutant_is_noticed(mutant: str) -> None:
    """The tests named for it are green as they are, and fail without the safeguard."""
    control = run_trial(mutant, mutated=False)
    assert control.is_green, control.output
    mutated = run_trial(mutant, mutated=True)
    assert mutated.noticed, mutated.output


def test_every_mutation_has_its_tests() -> None:
    """No mutation without tests that must notice it, and the reverse."""
    assert MUTATIONS.keys() == SUBSETS.keys()
