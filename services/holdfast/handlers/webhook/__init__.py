"""Webhooks: `webhook.dispatch` delivers one signed POST."""

from holdfast.handlers.webhook.dispatch import WebhookDispatch
from holdfast.handlers.webhook.payload import WebhookPayload

__all__ = ["WebhookDispatch", "WebhookPayload"]
