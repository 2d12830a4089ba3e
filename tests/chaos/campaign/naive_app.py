"""A webhook task as Celery's tutorials write it. `NAIVE_CAREFUL=1` adds the three settings that careful people add.

defaults    autoretry_for, retry_backoff, five retries; the message is acknowledged when the task begins
careful     task_acks_late, task_reject_on_worker_lost, and publisher confirms besides
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from celery import Celery
from celery.signals import worker_ready


def make_app(broker: str, *, careful: bool) -> Celery:
    """The application, for workers and for those who submit."""
    app = Celery("naive", broker=broker, set_as_current=False)
    app.conf.task_ignore_result = True
    if careful:
        app.conf.update(
            task_acks_late=True,
            task_reject_on_worker_lost=True,
            broker_transport_options={"confirm_publish": True},
        )

    @app.task(name="deliver", shared=False, autoretry_for=(Exception,), retry_backoff=True, max_retries=5)
    def deliver(url: str, body: dict[str, Any], timeout: float = 15) -> int:
        """Post one webhook."""
        return _client().post(url, json=body, timeout=timeout).raise_for_status().status_code

    return app


@cache
def _client() -> httpx.Client:
    """One per worker process: no handicap by a new connection pool for each task."""
    return httpx.Client()


@worker_ready.connect
def _ready(**_: Any) -> None:
    if "NAIVE_READY" in os.environ:
        Path(os.environ["NAIVE_READY"]).touch()


if "NAIVE_BROKER" in os.environ:  # in a worker
    app = make_app(os.environ["NAIVE_BROKER"], careful=os.environ["NAIVE_CAREFUL"] == "1")
