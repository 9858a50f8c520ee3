"""Tells what a run is doing, in a terminal with colours, in a log without."""

import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from aiki_celery import Aiki

GREEN, RED, BLUE, YELLOW, GREY, BOLD, PLAIN = (f"\033[{code}m" for code in (32, 31, 34, 33, 90, 1, 0))
COLOURS = {"ann": BLUE, "bob": YELLOW}


class Narrator:
    """Follows one run through the journal and says what is new."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._colourful = out.isatty()
        self._began = time.monotonic()
        self._steps = 0
        self._lines = 0
        self._owner = ""
        self._aiki: Aiki | None = None
        self._run_id = ""

    def watch(self, aiki: Aiki, run_id: str) -> None:
        self._aiki, self._run_id = aiki, run_id

    def title(self, text: str) -> None:
        self._write(f"\n{self._paint(text, BOLD)}\n{'-' * len(text)}")

    def say(self, text: str, who: str = "", bad: bool = False) -> None:
        clock = self._paint(f"{time.monotonic() - self._began:6.2f} s", GREY)
        name = self._paint(f"{who:<4}", COLOURS.get(who, PLAIN))
        self._write(f"{clock}  {name}  {self._paint(text, RED + BOLD) if bad else text}")

    def follow_until(self, condition: Callable[[], bool], timeout: float) -> None:
        """Tell what is new until a condition holds."""
        deadline = time.monotonic() + timeout
        while True:
            reached = condition()
            self._tell_news()
            if reached:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"the run did not get on within {timeout:g} s; it is {self._view().status}"
                )
            time.sleep(0.03)

    def is_running(self, task: str, after: str) -> bool:
        """Tell whether the step before ``task`` is recorded, so that ``task`` is what the worker is at."""
        steps = self._journal().views.steps(self._run_id)
        return any(step.name == after and step.status == "completed" for step in steps)

    def table(self, counted: Mapping[str, int]) -> None:
        self._write(f"\n  {'effect in the world outside':<30} times")
        for name, count in counted.items():
            self._write(f"  {name:<30} {self._paint(str(count), GREEN if count == 1 else RED)}")

    def conclude(self, once: bool) -> None:
        text = (
            "Each step took effect exactly once." if once else "Some step did not take effect exactly once."
        )
        self._write(f"\n{self._paint(text, (GREEN if once else RED) + BOLD)}\n")

    def _tell_news(self) -> None:
        views = self._journal().views
        steps, history = views.steps(self._run_id), views.history(self._run_id)
        news = [(line.at, 1, self._moved, line) for line in history[self._lines :]]
        news += [(step.finished_at, 0, self._recorded, step) for step in steps[self._steps :]]
        for _, _, tell, fact in sorted(news, key=lambda item: item[:2]):
            tell(fact)
        self._steps, self._lines = len(steps), len(history)

    def _recorded(self, step: Any) -> None:
        if step.kind == "sleep":
            return
        if step.kind == "attempt":
            self.say(
                f"  {step.name:<16} attempt {step.attempt} failed, journaled; the next one follows",
                self._owner,
            )
            return
        note = f" at attempt {step.attempt}" if step.attempt > 1 else ""
        self.say(f"  {step.name:<16} {self._paint('run', GREEN)}{note} and journaled", self._owner)

    def _moved(self, line: Any) -> None:
        owner = line.reason.partition("claimed by ")[2].partition("@")[0]
        if owner:
            self._owner = owner
            self.say(f"takes the run ({line.reason.partition('/')[2].partition(', ')[2]})", owner)
            for step in self._journal().views.steps(self._run_id)[: self._steps]:
                if step.kind == "task":
                    self.say(
                        f"  {step.name:<16} {self._paint('replayed', BLUE)} from the journal, not run", owner
                    )
        elif line.status not in ("queued", "running") or "recovered" in line.reason:
            self.say(f"run is {line.status}: {line.reason}")

    def _journal(self) -> Any:
        assert self._aiki is not None
        return self._aiki.journal

    def _view(self) -> Any:
        return self._journal().views.get(self._run_id)

    def _paint(self, text: str, colour: str) -> str:
        return f"{colour}{text}{PLAIN}" if self._colourful else text

    def _write(self, text: str) -> None:
        print(text, file=self._out, flush=True)
