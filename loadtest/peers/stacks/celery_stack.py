"""Celery. `PEER_CELERY` holds what differs from its defaults, as JSON."""

from __future__ import annotations

import json
import os
from typing import Any

from celery import Celery
from stacks import work
from stacks.web import sync_app

celery = Celery("peer", broker=os.environ["PEER_BROKER"])
celery.conf.update(task_ignore_result=True, **json.loads(os.environ["PEER_CELERY"]))


@celery.task(name="noop")
def noop() -> None:
    """Do nothing."""
    work.noop()


@celery.task(name="webhook")
def webhook(url: str, body: dict[str, Any]) -> None:
    """Post one webhook."""
    work.deliver(url, body)


def hand_over(kind: str, payload: dict[str, Any]) -> str:
    """Send the message; its id."""
    return str(celery.tasks[kind].apply_async(kwargs=payload).id)


app = sync_app(hand_over)
