"""`python -m tests.mutants [name ...]`: tries every mutant, or those named; fails if one survives."""

from __future__ import annotations

import sys

from tests.mutants.trials import SUBSETS, run_trial


def main(names: list[str]) -> int:
    """Prints the table; gives the exit code."""
    unknown = [name for name in names if name not in SUBSETS]
    if unknown:
        print(f"no such mutant: {', '.join(unknown)}; there are {', '.join(SUBSETS)}")
        return 2
    print(f"{'safeguard off':<14} {'as it is':<18} {'mutated':<26} {'verdict':<10} seconds")
    survivors = 0
    for name in names or SUBSETS:
        control, mutant = run_trial(name, mutated=False), run_trial(name, mutated=True)
        verdict = (
            "killed"
            if control.is_green and mutant.noticed
            else "SURVIVED"
            if control.is_green
            else "NO CONTROL"
        )
        survivors += verdict != "killed"
        without = f"{control.passed} passed, {control.failed} failed"
        within = f"{mutant.passed} passed, {mutant.failed} failed"
        print(
            f"{name:<14} {without:<18} {within:<26} {verdict:<10} {control.seconds + mutant.seconds:.1f}",
            flush=True,
        )
        if verdict != "killed":
            print((control if verdict == "NO CONTROL" else mutant).output[-3000:])
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
