"""Every failure a person can meet says what failed, why, and what to do; it ends the command with exit code 2."""

from __future__ import annotations

OTHERWISE = (
    "Otherwise use Docker Compose (`docker compose up`), or set HOLDFAST_RABBITMQ_URL, HOLDFAST_REDIS_URL "
    "and HOLDFAST_POSTGRES_URL to services of your own."
)

EXIT_CODE = 2


class SandboxError(Exception):
    """The sandbox cannot go on.

    Three sentences: `what` failed, `why`, and the `remedy`; without a remedy of its own the error names
    the ways around the sandbox. `evidence`, such as the end of a log, follows on lines of its own.
    """

    def __init__(self, what: str, why: str, remedy: str = OTHERWISE, evidence: str = "") -> None:
        lines = [f"{_sentence(what)} {_sentence(why)} {_sentence(remedy)}", *evidence.splitlines()]
        super().__init__("\n  | ".join(lines))
        self.what = what
        self.why = why
        self.remedy = remedy


class NotReady(Exception):
    """A service does not answer yet; the reason is kept for the message if it never does."""


def _sentence(text: str) -> str:
    text = text.strip()
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
