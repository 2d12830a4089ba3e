"""Every error that the client raises.

ClientError
├── Unreachable          no answer, however often it was asked
│   └── ForeignAnswer    something answers at this address, but it is not Holdfast
├── ProblemError         the api refused or could not do it: a problem document (RFC 9457)
│   └── NotNow           nothing is wrong with the request, but the api takes no more now (429, 503)
├── WaitTimeout          the job had not ended in time; it goes on
└── CorruptDownload      an artifact arrived with other bytes than the job lists
"""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.client.models import Job, Problem, ProblemDetail


class ClientError(Exception):
    """The root of all errors of the client."""


class Unreachable(ClientError):
    """The api gave no answer. A submitted job may still have been accepted: send it again with the same key."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"no answer from {url}: {why}")
        self.url, self.why = url, why


class ForeignAnswer(Unreachable):
    """An answer that Holdfast would not give."""


class ProblemError(ClientError):
    """The api's own account of what went wrong; `retry_after` is in seconds, where it named a time."""

    def __init__(self, problem: Problem, retry_after: float | None = None) -> None:
        super().__init__(problem.text)
        self.problem, self.retry_after = problem, retry_after

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.problem.status

    @property
    def type(self) -> str:
        """The stable URI reference of this kind of problem."""
        return self.problem.type

    @property
    def title(self) -> str:
        """The kind of problem in a few words."""
        return self.problem.title

    @property
    def detail(self) -> str | None:
        """What happened this time, and what to do."""
        return self.problem.detail

    @property
    def errors(self) -> Sequence[ProblemDetail]:
        """The fields that are wrong, each by its JSON pointer."""
        return self.problem.errors


class NotNow(ProblemError):
    """A rate limit, a backlog, an overload, or a dependency that is away. Nothing was done.

    The client has sent the request again for as long as its patience lasted, or `retry_after` was longer than that:
    send it later, with the same key.
    """


class WaitTimeout(ClientError):
    """The job was not over when the time was up; `job` is how it stood at last."""

    def __init__(self, job: Job, timeout: float) -> None:
        super().__init__(f"job {job.id} is still {job.state} after {timeout:g} s; it goes on, ask for it again later")
        self.job = job


class CorruptDownload(ClientError):
    """The bytes of an artifact are not those that the job lists."""
