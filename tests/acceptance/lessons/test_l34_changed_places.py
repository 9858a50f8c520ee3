"""L34: two calls of one task that changed places in the code keep each its own result."""

from __future__ import annotations

from aiki_celery import WorkflowRun, task, workflow
from aiki_celery.engine.ports import Forever
from tests.acceptance.conftest import Lab
from tests.harness.eventually import eventually
from tests.harness.telling import tell

ORDER = {"cities": ["Rome", "Oslo"]}


@task(name="lesson-weather")
def weather(city: str) -> str:
    tell("weather", city=city)
    return f"{city}: fine"


@workflow(name="lesson-changed-places")
def changed_places(run: WorkflowRun) -> dict[str, str]:
    found = {city: weather.run(run, city) for city in ORDER["cities"]}
    run.sleep(0.01)
    return found


def test_results_stay_with_their_inputs(embedded_lab: Lab, monkeypatch) -> None:
    """A deploy between two passes swaps the calls: by place they would get each other's result."""
    binding = embedded_lab.aiki.binding
    handle = changed_places.enqueue()
    first = binding.executor.claim(handle.id, binding.process.owner())
    assert first is not None
    binding.executor.run(changed_places, *first, Forever(), told=True)

    monkeypatch.setitem(ORDER, "cities", ["Oslo", "Rome"])
    second = eventually(
        lambda: binding.executor.claim(handle.id, binding.process.owner()), 5, "the sleep to be over"
    )
    recorded = [step.value for step in second[1] if step.kind == "task"]
    by_place = dict(zip(ORDER["cities"], recorded, strict=True))
    assert {"Oslo": '"Rome: fine"', "Rome": '"Oslo: fine"'} == by_place, (
        "the fault, if the place were the key"
    )
    binding.executor.run(changed_places, *second, Forever(), told=True)

    assert {"Oslo": "Oslo: fine", "Rome": "Rome: fine"} == handle.get(timeout=1)
    assert ["Rome", "Oslo"] == [effect["city"] for effect in embedded_lab.effects.all("weather")]
