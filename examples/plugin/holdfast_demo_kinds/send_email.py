"""`email.send`: one mail by SMTP.

SMTP knows no idempotency key. A crash between the server's `250` and the settling of the attempt sends the mail
again, so it is byte for byte the same mail, Message-ID included, and mail systems that fold duplicates fold it.
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from datetime import timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Annotated, ClassVar
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field

from holdfast.domain.attempt import Outcome, Succeeded
from holdfast.domain.errors import Rejected, TryLater
from holdfast.ports.handler import DEFAULT_POLICY, Context
from holdfast_demo_kinds.settings import setting
from holdfast_demo_kinds.stable_key import stable_key

SMTP_TIMEOUT = 20.0
Address = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$", max_length=254)
]
OneLine = Annotated[str, Field(pattern=r"^[^\r\n\x00]*$", max_length=500)]


class Email(BaseModel):
    """A mail to up to fifty recipients, as text, with HTML beside it if wanted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sender: Address
    to: Annotated[list[Address], Field(min_length=1, max_length=50)]
    subject: OneLine
    text: Annotated[str, Field(max_length=500_000)]
    html: Annotated[str, Field(max_length=500_000)] | None = None


class SendEmail:
    """Sends through `HOLDFAST_DEMO_SMTP_URL` (`smtp://user:password@host:587`, or `smtps://…:465`)."""

    kind: ClassVar = "email.send"
    queue: ClassVar = "custom"
    Payload: ClassVar = Email
    policy: ClassVar = DEFAULT_POLICY
    time_limit: ClassVar = timedelta(seconds=90)

    async def run(self, context: Context, payload: Email) -> Outcome:
        """Send the mail once; smtplib blocks, so it runs in a thread."""
        url = setting("HOLDFAST_DEMO_SMTP_URL")
        message = compose(context, payload)
        refused = await asyncio.to_thread(_send, url, message)
        return Succeeded({"message_id": message["Message-ID"], "refused": refused})


def compose(context: Context, payload: Email) -> EmailMessage:
    """The mail: the same bytes for every attempt, so nothing in it may come from a clock or from chance."""
    key = stable_key(context)
    message = EmailMessage(policy=SMTP)
    message["Message-ID"] = f"<{key}@{payload.sender.rpartition('@')[2]}>"
    message["Date"] = format_datetime(context.created_at)
    message["From"], message["To"], message["Subject"] = payload.sender, ", ".join(payload.to), payload.subject
    message.set_content(payload.text)
    if payload.html is not None:
        message.add_alternative(payload.html, subtype="html")
        message.set_boundary(f"part-{key}")
    return message


def _send(url: str, message: EmailMessage) -> dict[str, str]:
    """Hand the mail over; return the recipients that the server refused while it took others."""
    try:
        with _connect(url) as server:
            _log_in(server, url)
            refused = server.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        raise _failure(min(codes), "every recipient was refused") from None
    except smtplib.SMTPResponseException as error:  # sender, data, authentication, greeting
        raise _failure(error.smtp_code, _text(error.smtp_error)) from None
    except (smtplib.SMTPException, OSError) as error:
        raise TryLater(f"the mail server cannot be reached: {error}", error="MailServerUnreachable") from None
    return {address: f"{code} {_text(reply)}" for address, (code, reply) in refused.items()}


def _connect(url: str) -> smtplib.SMTP:
    parts = urlsplit(url)
    host = parts.hostname or "localhost"
    if parts.scheme == "smtps":
        return smtplib.SMTP_SSL(host, parts.port or 465, timeout=SMTP_TIMEOUT, context=ssl.create_default_context())
    return smtplib.SMTP(host, parts.port or 25, timeout=SMTP_TIMEOUT)


def _log_in(server: smtplib.SMTP, url: str) -> None:
    """Log in when the URL has a user name, and never with a password in the clear."""
    parts = urlsplit(url)
    if parts.username:
        if parts.scheme != "smtps":
            server.starttls(context=ssl.create_default_context())
        server.login(unquote(parts.username), unquote(parts.password or ""))


def _failure(code: int, why: str) -> Rejected | TryLater:
    """RFC 5321, 4.2.1: 4xx is for now, 5xx is for good. A refused login (53x) is the operator's to mend, so: later."""
    if 500 <= code < 600 and code not in {530, 534, 535, 538}:
        return Rejected(f"the mail server refused the mail: {code} {why}", error="MailRefused")
    return TryLater(f"the mail server did not take the mail yet: {code} {why}", error="MailDeferred")


def _text(reply: bytes | str) -> str:
    return (reply if isinstance(reply, str) else reply.decode("utf-8", "replace"))[:200]
