"""Models are written by what they hold, whatever their fields are called and their settings say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, Secret, SecretBytes, SecretStr, WrapSerializer, field_serializer
from typing_extensions import TypedDict

from aiki_celery.definitions.event import event
from aiki_celery.definitions.signature import Signature
from aiki_celery.errors import DefinitionInvalid
from tests.unit.test_values_of_unions import came_back


class Named(BaseModel):
    """Fields whose names pydantic's schemas use for something else."""

    type: str
    metadata: dict[str, Any] = {"type": "model", "metadata": 1, "gt": 2}
    gt: int = 0
    ref: str = ""
    schema_ref: str = ""
    function: str = ""
    serialization: str = ""
    computed_fields: list[str] = []
    validation_alias: str = ""


class Typed(TypedDict):
    """The same of a typed dict."""

    type: int
    metadata: int


class Shy(BaseModel):
    """Keeps something from those it is shown to."""

    id: int
    body: str = Field(default="", exclude=True)


class Wrapped(BaseModel):
    """With serializers around the ordinary ones."""

    items: Sequence[int]
    plain: int = 0

    @field_serializer("plain", mode="wrap")
    def write_plain(self, value: int, handler: Any) -> Any:
        """Do as always."""
        return handler(value)


class Account(BaseModel):
    """Holds a secret."""

    password: SecretStr


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Named, Named(type="t")),
        (Named, Named(type="t", metadata={"a": 1}, gt=1, ref="r", schema_ref="s", function="f")),
        (Named | int, Named(type="t", serialization="s", computed_fields=["c"], validation_alias="v")),
        (Typed, {"type": 1, "metadata": 2}),
        (Shy, Shy(id=1, body="kept")),
        (Wrapped, Wrapped(items=[1, 2], plain=3)),
        (Sequence[int], [1, 2]),
        (defaultdict[str, int], defaultdict(int, {"a": 1})),
        (Annotated[int, WrapSerializer(lambda value, handler: handler(value))], 3),
    ],
)
def test_model_comes_back_whole(annotation: Any, value: Any) -> None:
    """Nothing is left out, and nothing refused."""
    assert repr(value) == repr(came_back(annotation, value))


@pytest.mark.parametrize("annotation", [SecretStr, SecretBytes, Secret[int], Account, list[Account] | None])
def test_secret_is_refused_when_it_is_declared(annotation: Any) -> None:
    """pydantic writes it as asterisks: a replay would get those, and all secrets would be the same input."""

    def login(account: Any) -> None: ...

    login.__annotations__ = {"account": annotation}
    with pytest.raises(
        DefinitionInvalid, match=r"login: parameter 'account': a secret .* read the secret in the task"
    ):
        Signature(login, "login")
    with pytest.raises(DefinitionInvalid, match="event 'login': a secret"):
        event("login", annotation)
