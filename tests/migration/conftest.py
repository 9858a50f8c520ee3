"""An empty database of each kind."""

from __future__ import annotations

import pytest

DATABASES = [
    "sqlite_url",
    pytest.param("postgres_url", marks=pytest.mark.postgres),
    pytest.param("mariadb_url", marks=pytest.mark.mariadb),
]


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database."""
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.fixture(params=DATABASES[1:])
def server_url(request: pytest.FixtureRequest) -> str:
    """An empty database on a server."""
    url: str = request.getfixturevalue(request.param)
    return url
