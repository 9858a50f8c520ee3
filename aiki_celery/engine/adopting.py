"""``run.start(signature)``: an existing Celery task as a step. It keeps its own retries, and gets none of ours."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from aiki_celery.definitions.adopted import AdoptedTask
from aiki_celery.definitions.current import Run
from aiki_celery.definitions.future import StepFuture
from aiki_celery.definitions.values import PlainValue
from aiki_celery.engine.current_pass import Pass
from aiki_celery.engine.launching import check_record, new_start, replayed
from aiki_celery.engine.ports import CeleryCall
from aiki_celery.errors import NotJournalable
from aiki_celery.model.canonical import ENCODING_VERSION, hash_arguments
from aiki_celery.model.records import NewChild, NewRun
from aiki_celery.model.status import RunKind, StepKind

_PLAIN = PlainValue()


def adopt(
    current: Pass, run: Run, signature: Mapping[str, Any], step_key: str | None = None
) -> StepFuture[Any]:
    """Give the future of a recorded start, or start a Celery task.

    Args:
        current: The pass.
        run: The run, for the future.
        signature: What to call.
        step_key: What the step is known by instead of its arguments.

    Raises:
        InputInvalid: It is no signature of one task, or the arguments do not fit; nothing was sent or written.
        NotJournalable: An argument is no plain JSON.
        NonDeterminismError: It is not recorded while other steps are that were not asked for.
    """
    call = current.signatures.call_of(signature)
    task, address = AdoptedTask(call.name), _address(call, step_key)
    recorded = current.record.take(address)
    key = current.key_of(address)
    if recorded is not None:
        return current.future(run, task, replayed(current, call.name, recorded), key)
    now = current.clock.now()
    text = _input(call)
    options = current.signatures.options_of(signature, call, now)
    current.check_size(text, call.name, "the input")
    check_record(current, address)
    claim = current.claim
    record, child_id = new_start(current, StepKind.LAUNCH, call.name, address)
    facts: dict[str, str | None] = {
        "run": claim.run_id,
        "workflow": claim.workflow,
        "address": address,
        "key": key,
    }
    # Who settles it by a message has to know the secret, and to send it where this run's own messages go.
    facts |= {"secret": secrets.token_hex(8), "answer_to": claim.queue}
    child = NewChild(
        run=NewRun(
            id=child_id,
            workflow=call.name,
            version="",
            input=text,
            input_hash="",
            encoding=ENCODING_VERSION,
            queue=options.queue,
            request=options.text,
            delay=options.delay,
        ),
        kind=RunKind.FOREIGN if options.is_foreign else RunKind.ADOPTED,
        parent_seq=record.seq,
        call=to_json(facts).decode(),
    )
    current.start(record, child)
    return current.future(run, task, record, key)


def _address(call: CeleryCall, step_key: str | None) -> str:
    if step_key is not None:
        return f"{call.name}#{step_key}"
    try:
        return f"{call.name}:{hash_arguments({'args': call.args, 'kwargs': call.kwargs})}"
    except TypeError as error:
        _input(call)  # says which argument it is
        raise NotJournalable(call.name, "the arguments", str(error)) from error


def _input(call: CeleryCall) -> str:
    args = _PLAIN.write(list(call.args), call.name, "args")
    kwargs = _PLAIN.write(dict(call.kwargs), call.name, "kwargs")
    return f'{{"args":{args},"kwargs":{kwargs}}}'
