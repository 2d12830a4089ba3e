"""Every hostile document ends in its outcome, in time, without a local file and without a request."""

from __future__ import annotations

import io
import time

import pypdf
import pytest

from corpus import breakouts, documents
from corpus.breakouts import SECRET
from corpus.case import SUCCEEDED, Case
from corpus.hostile_world import HostileWorld, limits_for
from corpus.watch import DIALS

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("case", [*documents.cases(), *breakouts.cases()], ids=lambda case: case.id)
async def test_a_hostile_document_has_its_outcome(hostile: HostileWorld, case: Case) -> None:
    data, limits = case.make(), limits_for(case)
    hostile.artifacts.objects.clear()
    began = time.monotonic()
    outcome = await hostile.document(data, limits)
    assert time.monotonic() - began < limits.pdf_timeout + 5
    assert outcome in case.outcomes
    assert (len(hostile.stored) > 0) == (outcome == SUCCEEDED)
    assert not [made for made in hostile.stored if holds(made, SECRET)]
    assert DIALS.seen == [], "the guard was to refuse it before anything was dialled"
    assert await hostile.alive()


def holds(pdf: bytes, word: str) -> bool:
    """Whether a PDF has the word in its text, its attachments or its bytes."""
    reader = pypdf.PdfReader(io.BytesIO(pdf))
    attached = [data for files in reader.attachments.values() for data in files]
    texts = [page.extract_text() for page in reader.pages]
    return (
        word.encode() in pdf or any(word.encode() in data for data in attached) or any(word in text for text in texts)
    )
