"""Prometheus: scrapes RabbitMQ and the api, records and evaluates.

The configuration is that of `infra/prometheus`, shared with Compose but for `scrape.yml`: here targets come from files
(`targets/*.json`, relative to itself), so that what runs where is all that differs.
"""

from __future__ import annotations

import json
import urllib.parse
from pathlib import Path

from sandbox.daemon import Command
from sandbox.home import REPOSITORY, Home, service_folder, write_for_service
from sandbox.ports import LOOPBACK

from .base import Service, get

SHARED = REPOSITORY / "infra" / "prometheus"
RULES = REPOSITORY / "dashboards" / "rules"
RETENTION = "7d"


class Prometheus(Service):
    """One server, seven days of samples."""

    name = "prometheus"
    package = "prometheus"
    listeners = ("prometheus",)

    def prepare(self) -> None:
        """Copy the shared configuration and the alert rules of `dashboards/rules`."""
        service_folder(self.data)
        service_folder(self.etc)
        service_folder(self.etc / "targets")
        rules = service_folder(self.etc / "rules")
        write_for_service(self.etc / "prometheus.yml", (SHARED / "prometheus.yml").read_text())
        write_for_service(self.etc / "scrape.yml", (SHARED / "scrape" / "files.yml").read_text())
        for stale in rules.glob("*.y*ml"):
            stale.unlink()
        for rule in sorted(RULES.glob("*.y*ml")):
            write_for_service(rules / rule.name, rule.read_text())

    def command(self) -> Command:
        """The server, its data in /data."""
        argv = [
            "/usr/bin/prometheus",
            "--config.file=/config/prometheus.yml",
            "--storage.tsdb.path=/data/tsdb",
            f"--storage.tsdb.retention.time={RETENTION}",
            f"--web.listen-address={LOOPBACK}:{self.ports['prometheus']}",
            "--web.enable-lifecycle",
        ]
        return self.place.root.command(argv, binds={self.data: "/data", self.etc: "/config"})

    def answers(self) -> None:
        """200 from /-/ready."""
        get(self.ports["prometheus"], "/-/ready")


def write_targets(home: Home, service: str, addresses: list[str]) -> None:
    """Tell Prometheus where the processes of a service are; it sees the change by itself. None removes the target.

    The service becomes a label of all that is scraped there.
    """
    path = home.etc("prometheus") / "targets" / f"{service}.json"
    _inside_own_folder(path)
    write_for_service(path, json.dumps([{"targets": addresses, "labels": {"service": service}}] if addresses else []))


def address_of(url: str) -> str:
    """host:port of a URL."""
    return urllib.parse.urlsplit(url).netloc.rpartition("@")[2]


def _inside_own_folder(path: Path) -> None:
    service_folder(path.parent.parent)
    service_folder(path.parent)
