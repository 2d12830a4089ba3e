"""`email.send` against a small SMTP server."""

from __future__ import annotations

import asyncio
import email
from collections.abc import Callable
from email.message import Message

import pytest
from conftest import NewContext, serving
from pydantic import ValidationError

from holdfast.domain.attempt import Succeeded
from holdfast.domain.errors import Rejected, TryLater
from holdfast_demo_kinds.send_email import Email, SendEmail

Configure = Callable[[int], None]
MAIL = Email(sender="shop@example.com", to=["a@example.com", "b@example.com"], subject="Grüße", text="Hällo\n.\nBye")


class Mailbox:
    """Speaks enough SMTP to take mails; `replies` overrides the reply to a command (`{"RCPT": "550 no"}`)."""

    def __init__(self, **replies: str) -> None:
        self.replies, self.mails = replies, list[bytes]()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.replies.get("greeting", "220 ready").encode() + b"\r\n")
        while line := (await reader.readline()).decode().strip():
            verb = line[:4].upper()
            if verb == "DATA" and verb not in self.replies:
                writer.write(b"354 go on\r\n")
                self.mails.append(await reader.readuntil(b"\r\n.\r\n"))
            reply = self.replies.get(line) or self.replies.get(verb, "221 bye" if verb == "QUIT" else "250 ok")
            writer.write(reply.encode() + b"\r\n")
            if verb == "QUIT":
                return

    @property
    def parsed(self) -> list[Message]:
        return [email.message_from_bytes(mail.replace(b"\r\n..", b"\r\n.")) for mail in self.mails]


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Configure:
    return lambda port: monkeypatch.setenv("HOLDFAST_DEMO_SMTP_URL", f"smtp://127.0.0.1:{port}")


async def test_a_mail_arrives_and_a_retry_is_the_same_mail(new_context: NewContext, configure: Configure) -> None:
    mailbox = Mailbox()
    html = MAIL.model_copy(update={"html": "<p>Hällo</p>"})
    async with serving(mailbox) as port:
        configure(port)
        for attempt in (1, 2):
            outcome = await SendEmail().run(new_context("email.send", attempt=attempt), html)
            assert isinstance(outcome, Succeeded)
        await SendEmail().run(new_context("email.send", key="key-2"), html)
        await SendEmail().run(new_context("email.send", tenant="other"), html)
    first, again, other_key, other_tenant = mailbox.mails
    assert first == again
    ids = [mail["Message-ID"] for mail in mailbox.parsed]
    assert len({ids[0], ids[2], ids[3]}) == 3
    assert other_key != first != other_tenant
    text = mailbox.parsed[0].get_payload(0)
    assert isinstance(text, Message)
    assert text.get_payload(decode=True) == "Hällo\r\n.\r\nBye\r\n".encode()
    assert mailbox.parsed[0]["Date"] == "Thu, 01 Jan 2026 12:00:00 +0000"


async def test_some_refused_recipients_are_named_in_the_result(new_context: NewContext, configure: Configure) -> None:
    async with serving(Mailbox(**{"rcpt TO:<b@example.com>": "550 no such user"})) as port:
        configure(port)
        outcome = await SendEmail().run(new_context("email.send"), MAIL)
    assert isinstance(outcome, Succeeded)
    assert outcome.result["refused"] == {"b@example.com": "550 no such user"}


@pytest.mark.parametrize(
    ("replies", "error"),
    [
        ({"RCPT": "550 no such user"}, "MailRefused"),
        ({"MAIL": "553 not from you"}, "MailRefused"),
        ({"DATA": "554 spam"}, "MailRefused"),
    ],
)
async def test_a_refusal_for_good_is_rejected(
    new_context: NewContext,
    configure: Configure,
    replies: dict[str, str],
    error: str,
) -> None:
    async with serving(Mailbox(**replies)) as port:
        configure(port)
        with pytest.raises(Rejected) as refused:
            await SendEmail().run(new_context("email.send"), MAIL)
    assert refused.value.error == error


@pytest.mark.parametrize(
    "replies", [{"RCPT": "450 mailbox busy"}, {"MAIL": "451 later"}, {"greeting": "421 too many connections"}]
)
async def test_a_refusal_for_now_is_retried(
    new_context: NewContext, configure: Configure, replies: dict[str, str]
) -> None:
    async with serving(Mailbox(**replies)) as port:
        configure(port)
        with pytest.raises(TryLater) as failed:
            await SendEmail().run(new_context("email.send"), MAIL)
    assert failed.value.error == "MailDeferred"


async def test_a_password_is_not_sent_in_the_clear(new_context: NewContext, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        while line := (await reader.readline()).decode():
            heard.append(line)
            writer.write(b"250-here\r\n250 AUTH PLAIN LOGIN\r\n")

    async with serving(listen) as port:
        monkeypatch.setenv("HOLDFAST_DEMO_SMTP_URL", f"smtp://user:word@127.0.0.1:{port}")
        with pytest.raises(TryLater):
            await SendEmail().run(new_context("email.send"), MAIL)
    assert not any(line.startswith("AUTH") for line in heard)


async def test_without_a_server_the_job_waits_for_one(
    new_context: NewContext, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.delenv("HOLDFAST_DEMO_SMTP_URL", raising=False)
    with pytest.raises(TryLater, match="HOLDFAST_DEMO_SMTP_URL is not set"):
        await SendEmail().run(new_context("email.send"), MAIL)
    configure(1)
    with pytest.raises(TryLater) as failed:
        await SendEmail().run(new_context("email.send"), MAIL)
    assert failed.value.error == "MailServerUnreachable"


@pytest.mark.parametrize(
    "change",
    [{"subject": "a\r\nBcc: x@y"}, {"sender": "a@b\r\nBcc: x@y"}, {"to": []}, {"to": ["a@b, c@d"]}, {"bcc": ["a@b"]}],
)
def test_no_field_can_add_a_header(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Email.model_validate(MAIL.model_dump() | change)
