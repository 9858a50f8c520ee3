"""Callbacks: tokens that nobody can make or change, for one event of one run, once, for a time."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from sqlalchemy import update

from aiki_celery.definitions.event import event
from aiki_celery.definitions.retry import Retry
from aiki_celery.definitions.task import task
from aiki_celery.definitions.workflow import workflow
from aiki_celery.engine.context import WorkflowRun
from aiki_celery.engine.events.sending import Sender
from aiki_celery.engine.outcome import Outcome
from aiki_celery.errors import (
    ConfigurationError,
    InputInvalid,
    RunFinished,
    TokenExpired,
    TokenInvalid,
    TokenUsed,
)
from aiki_celery.journal.journal import Journal
from aiki_celery.journal.renewals import TOKEN_GRACE
from aiki_celery.model.status import RunStatus
from aiki_celery.settings import AikiSettings
from tests.contract.counting import counting
from tests.contract.forks import forked
from tests.contract.house import House
from tests.contract.rows import count, run_row

SECRET = "a secret of these tests"

paid = event("callback-paid", int)
other = event("callback-other", int)

tokens: list[str] = []


@task(name="callback-tell")
def tell(token: str) -> str:
    """Gives the token to somebody."""
    tokens.append(token)
    return token


@workflow(name="callback-run", retry=Retry.fixed(2, 0.0))
def calling(run: WorkflowRun, seconds: float) -> list[object]:
    """Gives out a token before and after it waits: the same on every replay."""
    token = run.callback(paid, expires_in=seconds)
    told = tell.run(run, token)
    return [run.wait_for(paid), told == token]


@workflow(name="callback-again")
def calling_again(run: WorkflowRun, left: int) -> int:
    """Gives out two tokens in each generation, and goes on as new when one has been used."""
    for _ in range(2):
        tell.run(run, run.callback(paid, expires_in=60.0))
    value = run.wait_for(paid)
    if left:
        run.continue_as_new(left - 1)
    return value


@pytest.fixture
def house(journal: Journal) -> House:
    """A house with a secret."""
    tokens.clear()
    return House(journal, secret_key=SECRET)


def given(house: House, seconds: float = 60.0) -> tuple[str, str]:
    """A run that waits for its callback, and the token."""
    run_id = house.enqueue(calling, seconds)
    outcome = house.take(run_id)
    assert outcome is not None
    assert RunStatus.AWAITING_EVENT is outcome.status, outcome
    return run_id, tokens[-1]


def end_of(house: House, run_id: str) -> Outcome:
    """The run's last pass."""
    outcome = house.take(run_id)
    assert outcome is not None
    return outcome


def test_token_is_safe_in_a_url_and_the_same_on_replay(house: House) -> None:
    """The step that it was given to is found again by it."""
    run_id, token = given(house)
    assert token.replace("-", "").replace("_", "").replace(".", "").isalnum()
    assert run_id == house.sender.exchange(paid, token, 7)
    assert ("[7,true]", 1) == (end_of(house, run_id).output, len(tokens))


def test_callback_is_one_write(house: House) -> None:
    """And a replay reads it with the rest."""
    run_id = house.enqueue(calling, 60.0)
    more = 1 if house.journal.connections.dialect == "mysql" else 0
    with counting(house.journal) as counted:
        house.take(run_id)
    assert 1 + more + 1 + 1 + 2 == len(counted.statements)  # claim, callback, step, wait and expectation


def test_token_is_used_once(house: House) -> None:
    """After the run's end too: somebody who sends again is told that it was done."""
    run_id, token = given(house)
    house.sender.exchange(paid, token, 7)
    for _ in range(2):
        with pytest.raises(TokenUsed, match=f"exchanged before; run {run_id} has its event"):
            house.sender.exchange(paid, token, 8)
        house.take(run_id)
    assert ("completed", 1) == (run_row(house.journal, run_id).status, run_row(house.journal, run_id).events)


def test_used_token_stays_used_when_its_run_continues_as_new(house: House) -> None:
    """The event is forgotten, not that the token was used; one that was not used is good for what comes next."""
    run_id = house.enqueue(calling_again, 2)
    house.take(run_id)
    used, unused = tokens
    house.sender.exchange(paid, used, 1)
    house.drain()
    assert (1, ()) == (run_row(house.journal, run_id).generation, house.journal.inbox.received(run_id))
    with pytest.raises(TokenUsed):
        house.sender.exchange(paid, used, 2)
    house.sender.exchange(paid, unused, 3)
    house.drain()
    assert 2 == run_row(house.journal, run_id).generation
    for token in (used, unused):
        with pytest.raises(TokenUsed):
            house.sender.exchange(paid, token, 4)
    house.sender.exchange(paid, tokens[-1], 5)
    house.drain()
    assert ("completed", "5") == ((row := run_row(house.journal, run_id)).status, row.output)


def test_token_asked_for_again_in_a_fork_belongs_to_the_run_that_gave_it_out(house: House) -> None:
    """Somebody has it already, and the fork has no event for it; one that the fork makes anew is the fork's."""
    run_id, token = given(house)
    house.take(forked(house, run_id, 2))
    assert [token, token] == tokens
    house.take(copy := forked(house, run_id, 1))
    assert [run_id, copy] == [house.sender.exchange(paid, one, 7) for one in tokens[1:]]


def test_used_token_is_forgotten_when_it_has_expired(house: House) -> None:
    """So a run that goes on for ever keeps no more of them than may still be sent."""
    run_id = house.enqueue(calling_again, 2)
    house.take(run_id)
    house.sender.exchange(paid, tokens[-1], 1)
    house.drain()
    events = house.journal.schema.events
    with house.journal.connections.autocommit() as connection:
        connection.execute(update(events).values(sent_at=events.c.sent_at - 61_000_000 - TOKEN_GRACE))
    house.sender.exchange(paid, tokens[-1], 2)
    house.drain()
    assert (2, 1) == (run_row(house.journal, run_id).generation, count(house.journal, "events"))


def test_token_of_a_run_that_is_over_is_refused(house: House) -> None:
    """It got its event from somebody else."""
    run_id, token = given(house)
    house.sender.send(run_id, "callback-run", paid, 1)
    house.take(run_id)
    with pytest.raises(RunFinished):
        house.sender.exchange(paid, token, 7)


def test_token_expires(house: House) -> None:
    """By the database's clock."""
    _, token = given(house, 0.000_001)
    with pytest.raises(TokenExpired, match="callback-paid: the token could be exchanged until 2"):
        house.sender.exchange(paid, token, 7)


def test_payload_that_does_not_fit_leaves_the_token(house: House) -> None:
    """Whoever called may call again."""
    run_id, token = given(house)
    with pytest.raises(InputInvalid, match="callback-paid: argument 'payload'"):
        house.sender.exchange(paid, token, "many")
    assert run_id == house.sender.exchange(paid, token, 7)


def forged(token: str) -> dict[str, Any]:
    """Tokens that are none."""
    body, _, signature = token.partition(".")
    facts = json.loads(base64.urlsafe_b64decode(body + "=="))
    facts[3] += 1
    changed = base64.urlsafe_b64encode(json.dumps(facts).encode()).rstrip(b"=").decode()
    return {
        "empty": "",
        "no signature": body,
        "an empty signature": f"{body}.",
        "another body": f"{changed}.{signature}",
        "another signature": f"{body}.{signature[::-1]}",
        "no base64": "%%%.%%%",
        "no ASCII": "é.é",
        "not a text": 7,
    }


def test_forged_tokens_are_refused(house: House) -> None:
    """Whatever is changed; nothing is sent."""
    run_id, token = given(house)
    for how, bad in forged(token).items():
        with pytest.raises(TokenInvalid, match="callback-paid: the token"):
            house.sender.exchange(paid, bad, 7)
        assert 0 == run_row(house.journal, run_id).events, how
    with pytest.raises(TokenInvalid, match="the token is for event 'callback-paid'"):
        house.sender.exchange(other, token, 7)
    settings = AikiSettings(secret_key="another secret of somebody")  # type: ignore[arg-type]
    stranger = Sender(house.journal, settings, house.hooks, house.publish, house.binding.starter.join)
    with pytest.raises(TokenInvalid, match="was not made with this aiki_secret_key"):
        stranger.exchange(paid, token, 7)


def test_without_a_secret_the_error_names_the_setting(journal: Journal) -> None:
    """In the workflow, and where the token comes back."""
    house = House(journal)
    run_id = house.enqueue(calling, 60.0)
    house.take(run_id)
    house.take(run_id)
    assert "ConfigurationError: Callbacks need the setting aiki_secret_key" in run_row(journal, run_id).reason
    with pytest.raises(ConfigurationError, match="AIKI_SECRET_KEY"):
        house.sender.exchange(paid, "a.b", 7)


def test_time_of_a_token_is_above_zero(house: House) -> None:
    """One that could never be exchanged is refused where it is made."""
    run_id = house.enqueue(calling, 0.0)
    house.take(run_id)
    house.take(run_id)
    assert "argument 'expires_in': must be more than zero" in run_row(house.journal, run_id).reason
