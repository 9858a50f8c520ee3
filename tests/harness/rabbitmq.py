"""RabbitMQ as a child process."""

from __future__ import annotations

import base64
import json
import os
import urllib.request
from pathlib import Path
from typing import Any

from tests.harness.binaries import require_binary
from tests.harness.child_process import ChildProcess
from tests.harness.ports import free_port
from tests.harness.server import Server


class RabbitMQServer(Server):
    """One node with its own port mapper; `options` are configuration lines: `"consumer_timeout = 5000"`."""

    name = "rabbitmq"
    start_timeout = 90.0

    def __init__(self, *options: str) -> None:
        super().__init__(*options)
        self.management_port, self._distribution_port, self._epmd_port = free_port(), free_port(), free_port()
        self._epmd: ChildProcess | None = None

    def prepare(self) -> None:
        """Writes the configuration and starts the port mapper."""
        (self.folder / "enabled_plugins").write_text("[rabbitmq_management].\n")
        settings = (
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            "management.tcp.ip = 127.0.0.1",
            f"management.tcp.port = {self.management_port}",
            "log.console = true",
            "log.file = false",
            "disk_free_limit.absolute = 50MB",
            "vm_memory_high_watermark.absolute = 1GB",
            *self.options,
        )
        (self.folder / "rabbitmq.conf").write_text("\n".join(settings) + "\n")
        # Erlang would start one by itself, as a daemon that outlives the node.
        epmd = require_binary("epmd", package="rabbitmq-server")
        self._epmd = ChildProcess(
            "epmd",
            [epmd, "-address", "127.0.0.1", "-port", str(self._epmd_port)],
            log_path=self.folder / "epmd.log",
        )
        self._epmd.start()

    def command(self) -> list[str | Path]:
        """The server's own script: Debian's wrapper in the PATH changes to another user and another home."""
        script = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
        return [script if script.exists() else require_binary("rabbitmq-server", package="rabbitmq-server")]

    def environment(self) -> dict[str, str]:
        """Nothing is shared with a RabbitMQ that the machine may be running: name, ports, cookie, files."""
        return {
            **os.environ,
            "HOME": str(self.folder),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"test-{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(self.folder / "generated"),
            "RABBITMQ_PID_FILE": str(self.folder / "rabbitmq.pid"),
        }

    @property
    def url(self) -> str:
        """Of the vhost that is always there."""
        return self.vhost_url("/")

    def vhost_url(self, name: str) -> str:
        """For Celery's broker."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{name}"

    def is_ready(self) -> bool:
        """Whether the API answers, and says that the node serves clients."""
        try:
            return bool(
                self.api("GET", "/api/health/checks/port-listener/" + str(self.port))["status"] == "ok"
            )
        except OSError:
            return False

    def new_vhost(self) -> str:
        """Creates an empty vhost and returns its URL."""
        self.ensure_running()
        name = self.next_name()
        self.api("PUT", f"/api/vhosts/{name}")
        return self.vhost_url(name)

    def drop_vhost(self, url: str) -> None:
        """Deletes a vhost with its queues and connections."""
        self.api("DELETE", f"/api/vhosts/{url.rpartition('/')[2]}")

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """One call of the management API, such as `api("DELETE", "/api/queues/test_1/celery/contents")`.

        Raises:
            OSError: It is not reachable, or the answer was an error (`urllib.error.HTTPError`).
        """
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.management_port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": "Basic " + base64.b64encode(b"guest:guest").decode(),
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            answer = response.read()
        return json.loads(answer) if answer else None

    def remove(self) -> None:
        """The port mapper goes with the node."""
        super().remove()
        if self._epmd is not None:
            self._epmd.kill_tree()
