"""The small Python client of Holdfast: submit jobs over HTTP, exactly once, and follow them to their end.

    with Holdfast("http://127.0.0.1:8000", api_key="hf_…") as holdfast:
        job = holdfast.submit("pdf.render", {"html": "<h1>Hello</h1>", "name": "hello.pdf"})
        job = holdfast.wait(job.id, timeout=60)
        pdf = holdfast.download(job, "hello.pdf")

It needs httpx and pydantic, and nothing else of this package.
"""

from holdfast.client.client import Holdfast
from holdfast.client.endpoints import Endpoint
from holdfast.client.errors import (
    ClientError,
    CorruptDownload,
    ForeignAnswer,
    NotNow,
    ProblemError,
    Unreachable,
    WaitTimeout,
)
from holdfast.client.models import (
    ENDED,
    ArtifactLink,
    Attempt,
    AuditEntry,
    Breaker,
    BulkReplay,
    DeadLetter,
    DeadLetterFilter,
    DeadLetterGroup,
    Failure,
    Job,
    JobRequest,
    Kind,
    Outcome,
    Problem,
    Readiness,
    Upload,
)
from holdfast.client.patience import Patience

__all__ = [
    "ENDED",
    "ArtifactLink",
    "Attempt",
    "AuditEntry",
    "Breaker",
    "BulkReplay",
    "ClientError",
    "CorruptDownload",
    "DeadLetter",
    "DeadLetterFilter",
    "DeadLetterGroup",
    "Endpoint",
    "Failure",
    "ForeignAnswer",
    "Holdfast",
    "Job",
    "JobRequest",
    "Kind",
    "NotNow",
    "Outcome",
    "Patience",
    "Problem",
    "ProblemError",
    "Readiness",
    "Unreachable",
    "Upload",
    "WaitTimeout",
]
