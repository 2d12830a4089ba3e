"""RabbitMQ, and the port mapper (epmd) that its command line tools find it by.

Invariant: node, distribution and epmd listen on 127.0.0.1 only. epmd is a service of its own, because one
that a node starts by itself outlives the node and belongs to nobody. The shared configuration is
`infra/rabbitmq/`; this module adds what only this machine knows (addresses, ports, password).
"""

from __future__ import annotations

import json

from sandbox.daemon import Command
from sandbox.errors import NotReady
from sandbox.home import REPOSITORY, service_folder, write_for_service
from sandbox.ports import LOOPBACK

from .base import USER, Place, Service, connect, get, settings

SHARED = REPOSITORY / "infra" / "rabbitmq"
VHOST = "holdfast"
NODE = "holdfast@localhost"
_SCRIPTS = "/usr/lib/rabbitmq/bin"
_LOOPBACK_ERLANG = "-kernel inet_dist_use_interface {127,0,0,1}"
_AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
_METHOD_FRAME = 1


class Epmd(Service):
    """The Erlang port mapper: knows the distribution port of the node."""

    name = "epmd"
    package = "erlang-base"
    listeners = ("epmd",)
    start_seconds = 15.0

    def prepare(self) -> None:
        """No configuration: arguments say it all."""
        service_folder(self.data)

    def command(self) -> Command:
        """In the foreground, so that it is a daemon like the others."""
        argv = ["/usr/bin/epmd", "-address", LOOPBACK, "-port", str(self.ports["epmd"])]
        return self.place.root.command(argv, binds={self.data: "/data"})

    def answers(self) -> None:
        """The registered names, and the port it really listens on."""
        with connect(self.ports["epmd"]) as connection:
            connection.sendall(b"\x00\x01n")  # NAMES_REQ of the EPMD protocol
            answer = connection.recv(4)
        if int.from_bytes(answer) != self.ports["epmd"]:
            raise NotReady(f"epmd said {answer!r}")


class RabbitMQ(Service):
    """One node with the management and Prometheus plugins."""

    name = "rabbitmq"
    package = "rabbitmq-server"
    listeners = ("amqp", "management", "rabbitmq-metrics", "distribution")
    stop_seconds = 60.0
    start_seconds = 120.0

    def prepare(self) -> None:
        """Copy the shared configuration and add the fragment of this machine."""
        service_folder(self.data)
        service_folder(self.etc)
        fragments = service_folder(self.etc / "conf.d")
        for fragment in sorted((SHARED / "conf.d").glob("*.conf")):
            write_for_service(fragments / fragment.name, fragment.read_text())
        write_for_service(fragments / "90-sandbox.conf", self._own_fragment())
        write_for_service(self.etc / "enabled_plugins", (SHARED / "enabled_plugins").read_text())

    def command(self) -> Command:
        """The node; the script execs the Erlang VM."""
        return self.place.root.command(
            [f"{_SCRIPTS}/rabbitmq-server"], node_environment(self.place), {self.data: "/data", self.etc: "/config"}
        )

    def answers(self) -> None:
        """An AMQP handshake, the management API with our password, our virtual host, and the metrics."""
        self._amqp_handshake()
        credentials = (USER, self.home.secret("rabbitmq"))
        overview = json.loads(get(self.ports["management"], "/api/overview", credentials))
        get(self.ports["management"], f"/api/vhosts/{VHOST}", credentials)
        get(self.ports["rabbitmq-metrics"], "/metrics")
        if overview["rabbitmq_version"] != self.version:
            raise NotReady(f"another RabbitMQ ({overview['rabbitmq_version']}) answers")

    def _amqp_handshake(self) -> None:
        """AMQP 0-9-1, 4.2.2: the server answers the protocol header with Connection.Start."""
        with connect(self.ports["amqp"]) as connection:
            connection.sendall(_AMQP_HEADER)
            answer = connection.recv(11)
        if len(answer) < 11 or answer[0] != _METHOD_FRAME or answer[7:11] != b"\x00\x0a\x00\x0a":
            raise NotReady(f"no AMQP handshake, but {answer!r}")

    def _own_fragment(self) -> str:
        return settings(
            {
                "listeners.tcp.local": f"{LOOPBACK}:{self.ports['amqp']}",
                "management.tcp.ip": LOOPBACK,
                "management.tcp.port": self.ports["management"],
                "prometheus.tcp.ip": LOOPBACK,
                "prometheus.tcp.port": self.ports["rabbitmq-metrics"],
                "default_user": USER,
                "default_pass": self.home.secret("rabbitmq"),
                "default_vhost": VHOST,
                "vm_memory_high_watermark.relative": 0.4,  # other things run on a developer's machine
                "raft.wal_max_size_bytes": 67108864,  # 64 MiB instead of 512: small disks, quick restarts
            },
            " = ",
        )


def node_environment(place: Place) -> dict[str, str]:
    """The environment of the node, and of rabbitmqctl, which joins it for the length of a command."""
    return {
        "RABBITMQ_NODENAME": NODE,
        "RABBITMQ_MNESIA_BASE": "/data",
        "RABBITMQ_MNESIA_DIR": "/data/node",
        "RABBITMQ_CONFIG_FILES": "/config/conf.d/*.conf",
        "RABBITMQ_ENABLED_PLUGINS_FILE": "/config/enabled_plugins",
        "RABBITMQ_CONF_ENV_FILE": "/config/no-such-file",
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_DIST_PORT": str(place.ports["distribution"]),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _LOOPBACK_ERLANG,
        "RABBITMQ_CTL_ERL_ARGS": _LOOPBACK_ERLANG,
        "ERL_EPMD_PORT": str(place.ports["epmd"]),
        "ERL_EPMD_ADDRESS": LOOPBACK,
        "RUNNING_UNDER_SYSTEMD": "true",  # the script then execs the Erlang VM: signals reach it directly
    }
