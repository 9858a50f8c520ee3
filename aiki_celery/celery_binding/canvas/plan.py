"""Turns a canvas into a plan: plain JSON that says what is to be done, played by ``engine/canvas/canvas.py``.

What Celery does while it sends a canvas is done here at once, by the rules of ``celery/canvas.py``: chains in chains
are spliced, a group that is followed by something becomes a chord, options and callbacks are handed down to the tasks
that they end up with, groups in groups are flattened. References below are to functions of that module (Celery 5.7).
"""

from __future__ import annotations

import json
from typing import Any

from celery import Celery
from celery.canvas import Signature, _chain, _chord, chunks, group, maybe_signature
from celery.utils.functional import maybe_list
from kombu.utils import json as kombu_json

from aiki_celery.celery_binding.canvas.plan_parts import (
    CHAIN_OPTIONS,
    add_body_callbacks,
    handed_down,
    has_errbacks,
    is_empty_group,
    is_led_by_task,
    leaf_options,
    members_of,
    only_member,
)
from aiki_celery.errors import InputInvalid, NotJournalable

Plan = dict[str, Any]

#: Who is named in an error about a canvas.
OWNER = "durable"


def plan_of(signature: Any, app: Celery) -> Plan:
    """Make the plan of a canvas.

    Args:
        signature: The canvas, or a canvas' dictionary; it is not changed.
        app: The application whose settings and routes count.

    Raises:
        InputInvalid: It is no canvas.
        NotJournalable: An argument or option has no JSON form.
    """
    if not isinstance(signature, dict) or "task" not in signature:
        raise InputInvalid(OWNER, "signature", f"takes a signature or canvas, not {signature!r:.60}")
    try:
        # As a message would carry it: nothing here may change the caller's own signatures.
        copy = kombu_json.loads(kombu_json.dumps(_listed(signature)))
    except Exception as error:
        raise NotJournalable(OWNER, "the canvas", f"has no JSON form: {error}") from error
    planner = Planner(app)
    plan = planner.plan(planner.read(copy), is_top=True)
    return dict(json.loads(kombu_json.dumps(plan)))


class Planner:
    """Makes plans for one application.

    Args:
        app: The application.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app

    def read(self, signature: Any) -> Any:
        """Give a signature of the application, a copy."""
        return maybe_signature(signature, app=self._app, clone=True)

    def plan(self, sig: Any, *, is_top: bool = False) -> Plan:
        """Make the plan of a signature.

        Args:
            sig: The signature; it is changed.
            is_top: Whether it is the whole canvas.
        """
        if isinstance(sig, _chain):
            return self._plan_chain(sig)
        if isinstance(sig, _chord):
            return self._plan_chord(sig)
        if sig.task == "celery.chunks":
            parts = chunks(sig.kwargs["task"], sig.kwargs["it"], sig.kwargs["n"], app=self._app).group()
            parts.options.update(handed_down(sig.options))
            return self._plan_group(parts, is_top=is_top)
        if isinstance(sig, group):
            return self._plan_group(sig, is_top=is_top)
        return self._plan_task(sig)

    def _plan_task(self, sig: Any) -> Plan:
        kwargs, options = dict(sig.kwargs), leaf_options(sig.options)
        route_name = options.pop("route_name", None)
        if sig.task in ("celery.map", "celery.starmap"):
            kwargs["it"] = list(kwargs["it"])
            self._route(options, route_name or kwargs["task"]["task"])
        signature = {"task": sig.task, "args": list(sig.args), "kwargs": kwargs, "options": options}
        return {"do": "task", "signature": {**signature, "immutable": bool(sig.immutable)}}

    def _route(self, options: dict[str, Any], name: str) -> None:
        """Send what maps a task where the task itself would go."""
        if not {"queue", "routing_key", "exchange"} & options.keys():
            routed = self._app.amqp.router.route({}, name)
            for key in ("queue", "routing_key", "exchange"):
                if routed.get(key) is not None:
                    options[key] = getattr(routed[key], "name", routed[key])

    def _plan_chain(self, sig: Any) -> Plan:
        """See ``_chain.run`` and ``_chain.prepare_steps``."""
        steps = self._spliced(sig.tasks)
        if not steps:
            raise InputInvalid(OWNER, "signature", "a chain of nothing cannot be run")
        self._hand_to_first(steps[0], sig)
        links = self._with_chords(steps)
        for step in links:
            for errback in maybe_list(sig.options.get("link_error")) or []:
                step.link_error(self.read(errback))
                if isinstance(step, _chord) and step.body is not None:
                    step.body.link_error(self.read(errback))
        for callback in maybe_list(sig.options.get("link")) or []:
            links[-1].link(self.read(callback))
        plans = [self.plan(step) for step in links]
        return plans[0] if len(plans) == 1 else {"do": "chain", "steps": plans}

    def _spliced(self, tasks: Any) -> list[Any]:
        """Give the links of a chain: those of chains in it, groups of one as that one, and no empty group."""
        links: list[Any] = []
        empty: Any = None
        for task in tasks:
            link = only_member(self.read(task), self.read)
            if isinstance(link, _chain):
                links.extend(self._spliced(link.unchain_tasks()) if link.tasks else [])
            elif isinstance(link, _chord) and is_led_by_task(link.body):
                # What follows the first of its body is a link of the chain like any other.
                first, *rest = link.body.unchain_tasks()
                first.options.update(handed_down(link.body.options, CHAIN_OPTIONS))
                link.body = first
                links.extend([link, *self._spliced(rest)])
            elif is_empty_group(link):
                empty = link
            else:
                links.append(link)
        return links if links or empty is None else [empty]

    def _hand_to_first(self, first: Any, chain: Any) -> None:
        """The first link gets what the chain was given: arguments, and options that are none of the chain's own."""
        options = {
            name: value for name, value in handed_down(chain.options).items() if name not in CHAIN_OPTIONS
        }
        first.options.update(options)
        if chain.args and not first.immutable:
            first.args = tuple(chain.args) + tuple(first.args)

    def _with_chords(self, steps: list[Any]) -> list[Any]:
        """Join each group with what follows it to a chord, from the end on."""
        links: list[Any] = []
        for step in reversed(steps):
            if isinstance(step, group) and links:
                links.append(_chord(step, body=links.pop(), app=self._app))
            else:
                links.append(step)
        return links[::-1]

    def _plan_chord(self, sig: Any) -> Plan:
        """See ``_chord.apply_async`` and ``_chord.run``."""
        if sig.body is None:
            raise InputInvalid(OWNER, "signature", "a chord needs a body")
        options = handed_down(sig.options)
        delay = {name: options.pop(name) for name in ("countdown", "eta") if options.get(name) is not None}
        body = add_body_callbacks(self.read(sig.body), options, self.read)
        body.options.update(options)
        members = members_of(sig.tasks, self.read, is_frozen=True)
        for member in members:
            member.options.update({**options, **delay})
        header: Plan = {"do": "group", "steps": [self.plan(member) for member in members]}
        header |= {"args": list(sig.args), "kwargs": dict(sig.kwargs.get("kwargs") or {})}
        if has_errbacks(body):
            # What Celery would look at to call them, before the plan of the body changes it.
            header["body"] = self.read(body)
        return {"do": "chain", "steps": [header, self.plan(body)]}

    def _plan_group(self, sig: Any, *, is_top: bool) -> Plan:
        """See ``group.apply_async``."""
        members = members_of(sig.tasks, self.read, is_frozen=not is_top)
        options = handed_down(sig.options)
        for member in members:
            member.options.update(options)
        steps = [self.plan(member) for member in members]
        if len(steps) == 1 and _ends_in_group(steps[0]):
            return steps[0]  # the one nesting of results that Celery undoes
        return {"do": "group", "steps": steps}


def _ends_in_group(plan: Plan) -> bool:
    """Tell whether a plan's result is a list of results."""
    while plan["do"] == "chain":
        plan = plan["steps"][-1]
    return bool(plan["do"] == "group")


def _listed(value: Any) -> Any:
    """Give a signature whose lazy lists are lists."""
    if isinstance(value, Signature):
        return {key: _listed(item) for key, item in value.items()}
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    if isinstance(value, (str, bytes)) or value is None:
        return value
    if isinstance(value, (list, tuple)) or hasattr(value, "__length_hint__") or hasattr(value, "__next__"):
        return [_listed(item) for item in value]
    return value
