"""What a page tells its reader to do, done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import pytest

from aiki_celery.cli import aiki
from tests.docs.pages import REPOSITORY, blocks_of, documented, name_of
from tests.docs.play import Play, console_commands
from tests.harness.worker import WorkerProcess

PAGES = [page for page in documented() if any(block.language == "python" for block in blocks_of(page))]
SERVERS = REPOSITORY / "docs" / "howto" / "existing-deployment.md"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_page_does_what_it_says(
    page: Path, tmp_path: Path, start_worker: Callable[..., WorkerProcess]
) -> None:
    """On the embedded broker and a SQLite journal, as on a reader's laptop."""
    Play(page, tmp_path, start_worker).run()


@pytest.mark.parametrize(
    ("broker", "journal"), [("redis_url", "postgres_url"), ("rabbitmq_url", "mariadb_url")]
)
def test_page_on_existing_deployments_holds_on_servers(
    broker: str,
    journal: str,
    tmp_path: Path,
    start_worker: Callable[..., WorkerProcess],
    request: pytest.FixtureRequest,
) -> None:
    """Where it is meant for: the tables are made by the command alone, and everything else works as shown."""
    env = {
        "SHOP_BROKER": request.getfixturevalue(broker),
        "SHOP_JOURNAL": request.getfixturevalue(journal),
    }
    Play(SERVERS, tmp_path, start_worker, env).run()


@pytest.mark.parametrize("page", documented(), ids=name_of)
def test_page_names_commands_and_options_that_exist(page: Path) -> None:
    """Each `celery -A shop aiki ...` is parsed by the commands themselves."""
    for line in console_commands(page, "celery -A shop aiki"):
        words = line.removeprefix("celery -A shop aiki").replace("<run id>", "run-id").split()
        command: click.Command = aiki
        context = click.Context(aiki, info_name="aiki")
        while isinstance(command, click.Group):
            name, found, words = command.resolve_command(context, words)
            assert found is not None
            command = found
            context = click.Context(command, info_name=name, parent=context)
        command.parse_args(context, words)


WRONG_PAGE = """```python
value = 1
```

```python
print(value)
```

```text
2
```
"""


def test_play_notices_what_is_not_so(tmp_path: Path) -> None:
    """A page that shows another output than there is, is no page to rely on."""
    page = tmp_path / "page.md"
    page.write_text(WRONG_PAGE)
    with pytest.raises(AssertionError, match=r"page\.md:10 shows"):
        Play(page, tmp_path, lambda *_, **__: None).run()
