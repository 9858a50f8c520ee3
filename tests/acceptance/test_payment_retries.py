"""A payment service that fails twice and then works is called three times, and the payment succeeds."""

from __future__ import annotations

import pytest

from tests.acceptance import payments_app
from tests.acceptance.conftest import Lab
from tests.acceptance.payments_app import Payment, Receipt
from tests.harness.eventually import eventually
from tests.harness.invariants import check_invariants, read_runs

APP = "tests.acceptance.payments_app"


@pytest.mark.parametrize("inline_wait", ["1", "0.05"], ids=["slept-inline", "suspended"])
def test_payment_workflow_retries_failed_payments(
    inline_wait: str, embedded_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a real worker, whether the delays are slept there or free it."""
    monkeypatch.setenv("AIKI_INLINE_WAIT", inline_wait)
    embedded_lab.start_worker(APP, concurrency=1)

    handle = payments_app.pay.enqueue(Payment(payment_id="123", amount=100))
    result = handle.get(timeout=20)

    assert Receipt(success=True) == result
    assert [1, 2, 3] == [effect["attempt"] for effect in embedded_lab.effects.all("payment")]
    (run,) = read_runs(embedded_lab.journal)
    assert ["attempt", "attempt", "task"] == [step["kind"] for step in run.steps]
    assert (2 if inline_wait == "0.05" else 0) == sum(line[0] == "awaiting_retry" for line in run.history)
    limits = {"call-payment-service": 3}
    eventually(
        lambda: check_invariants(embedded_lab.journal, embedded_lab.effects, max_attempts=limits), 5, "rest"
    )
