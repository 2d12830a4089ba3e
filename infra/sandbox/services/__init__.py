"""The services of the sandbox, in the order in which they start; they stop in the reverse order."""

from __future__ import annotations

from .base import Place, Service
from .postgres import Postgres
from .prometheus import Prometheus
from .rabbitmq import Epmd, RabbitMQ
from .redis import Redis

SERVICES: tuple[type[Service], ...] = (Epmd, RabbitMQ, Redis, Postgres, Prometheus)

CHOICES = ("rabbitmq", "redis", "postgres", "prometheus")
"""What a person can choose; epmd comes and goes with rabbitmq."""

__all__ = ["CHOICES", "SERVICES", "Epmd", "Place", "Postgres", "Prometheus", "RabbitMQ", "Redis", "Service"]
