"""B10: messages that are no JSON, of an unknown version, for runs and workflows that do not exist."""

from __future__ import annotations

from collections.abc import Callable

from aiki_celery import RunNotFound
from tests.acceptance.chaos.grounds import on_every_ground
from tests.harness.eventually import eventually
from tests.integration.celery.deployment import Deployment, new_key
from tests.integration.celery.flows import naps

FIRST = {"aiki": {"v": 1, "first": "journal"}}


@on_every_ground
def test_garbage_is_dropped_and_the_worker_serves_on(ground: str, deploy: Callable[..., Deployment]) -> None:
    """Nothing of it becomes a run, and what comes after it is done."""
    deployment = deploy(ground)
    stranger = deployment.new_client()
    if deployment.broker is None:
        stranger.conf.broker_url = deployment.client.conf.broker_url
    with stranger.connection_for_write() as connection, connection.Producer() as producer:
        for body in (b"\xff\x00 no json", b"{", b"[]"):
            producer.publish(
                body, routing_key="celery", content_type="application/json", content_encoding="utf-8"
            )
        producer.publish(
            b"\x80\x04.",
            routing_key="celery",
            content_type="application/x-python-serialize",
            content_encoding="binary",
            headers={"task": "naps", "id": "pickled"},
        )
    sent = [
        stranger.send_task("naps@1.0.0", headers={"aiki": {"v": 99, "first": "journal"}}),
        stranger.send_task("naps@1.0.0", headers={"aiki": "what?"}),
        stranger.send_task("naps@1.0.0", headers=FIRST),
        stranger.send_task("naps@9.9.9", headers=FIRST),
        stranger.send_task("no-such-workflow", headers=FIRST),
        stranger.send_task("naps", (1, 2, 3, 4, 5)),
    ]
    worker = deployment.worker()
    key = new_key()
    assert [1] * 4 == [handle.get(timeout=20) for handle in naps.enqueue_many([(key, 2, 0.0)] * 4)]
    eventually(lambda: "has version 99" in worker.log(), 10, "the unknown version in the log")
    assert worker.is_running
    assert [] == [result.id for result in sent if _is_known(deployment, result.id)]
    assert 8 == deployment.effects.count("step"), "only what was enqueued was done"
    stranger.close()


def _is_known(deployment: Deployment, run_id: str) -> bool:
    try:
        return deployment.aiki.view(run_id).id == run_id
    except RunNotFound:
        return False
