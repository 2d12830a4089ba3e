"""One contract for every artifact store: a local folder, and S3 (as moto plays it, on loopback)."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from holdfast.adapters.artifacts import ObstoreArtifacts
from holdfast.domain.errors import ArtifactsUnavailable, NotFound
from holdfast.domain.signed_url import sign, verify
from holdfast.ports.artifacts import Artifacts

MIB = 1024 * 1024
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """A moto server; `HOLDFAST_TEST_MOTO_PYTHON` names an interpreter that has `moto[s3,server]`."""
    python = os.environ.get("HOLDFAST_TEST_MOTO_PYTHON", sys.executable)
    if subprocess.run([python, "-c", "import moto.server"], capture_output=True, check=False).returncode:
        pytest.skip("moto is not installed: set HOLDFAST_TEST_MOTO_PYTHON to an interpreter with moto[s3,server]")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [python, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_it_answers(url)
        bucket = urllib.request.Request(f"{url}/results", method="PUT")
        urllib.request.urlopen(bucket, timeout=10).close()
        yield url
    finally:
        server.kill()
        server.wait()


def wait_until_it_answers(url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(f"{url}/moto-api/", timeout=1).close()
            return
        except OSError as error:
            assert time.monotonic() < deadline, f"moto did not start within 30 s: {error}"
            time.sleep(0.05)


@pytest.fixture
def s3_environment(moto: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return moto


@pytest.fixture(params=["file", "s3"])
async def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Artifacts]:
    if request.param == "file":
        yield ObstoreArtifacts(f"file://{tmp_path}/made/when/missing")
    else:
        request.getfixturevalue("s3_environment")
        yield ObstoreArtifacts(f"s3://results/{tmp_path.name}")


async def test_what_was_put_can_be_got(artifacts: Artifacts) -> None:
    await artifacts.put("jobs/1/2/invoice.pdf", b"%PDF-", "application/pdf")
    assert await artifacts.get("jobs/1/2/invoice.pdf") == b"%PDF-"
    assert await artifacts.size("jobs/1/2/invoice.pdf") == 5


async def test_an_empty_object_is_an_object(artifacts: Artifacts) -> None:
    await artifacts.put("empty", b"", "text/plain")
    assert await artifacts.get("empty") == b""
    assert [chunk async for chunk in artifacts.stream("empty")] in ([], [b""])


async def test_a_second_put_of_a_key_is_a_no_op(artifacts: Artifacts) -> None:
    await artifacts.put("a/b", b"first", "text/plain")
    await artifacts.put("a/b", b"second", "text/plain")
    assert await artifacts.get("a/b") == b"first"


async def test_of_puts_at_the_same_time_exactly_one_is_kept_whole(artifacts: Artifacts) -> None:
    bodies = [bytes([n]) * 100_000 for n in range(8)]
    await asyncio.gather(*(artifacts.put("race", body, "text/plain") for body in bodies))
    assert await artifacts.get("race") in bodies


async def test_a_large_object_is_created_once_too_and_streams_in_chunks(artifacts: Artifacts) -> None:
    """Past 5 MiB obstore would switch to a multipart upload, which cannot be conditional."""
    body = os.urandom(MIB) * 12
    await artifacts.put("large", body, "application/octet-stream")
    await artifacts.put("large", b"other", "application/octet-stream")
    chunks = [chunk async for chunk in artifacts.stream("large")]
    assert b"".join(chunks) == body
    assert max(map(len, chunks)) <= MIB, "a chunk is far larger than 256 KiB"


async def test_a_missing_object_is_not_found(artifacts: Artifacts) -> None:
    with pytest.raises(NotFound):
        await artifacts.get("none")
    with pytest.raises(NotFound):
        await artifacts.size("none")
    with pytest.raises(NotFound):
        await anext(artifacts.stream("none"))


@pytest.mark.parametrize("name", ["März (1).pdf", "100%.png", "%2e%2e", "a+b=c&d", "x~y", "日本", "a:b", "...", "-rf"])
async def test_a_key_with_unusual_letters_comes_back_the_same(artifacts: Artifacts, name: str) -> None:
    await artifacts.put(f"jobs/{name}", name.encode(), "text/plain")
    assert await artifacts.get(f"jobs/{name}") == name.encode()


@pytest.mark.parametrize(
    "key",
    ["", "/", "/etc/passwd", "..", "../x", "a/../../x", "a/..", "a//b", "a/", "./a", "a\\..\\b", "a\nb", "a\0b",
     "a\u202eb", "a#1", "a/" + "x" * 241, "/".join(["x" * 100] * 20), "\ud800"],
)  # fmt: skip
async def test_a_key_that_leads_astray_is_refused(artifacts: Artifacts, key: str) -> None:
    for use in (artifacts.put(key, b"", "text/plain"), artifacts.get(key), artifacts.size(key)):
        with pytest.raises(ValueError, match="cannot name an artifact"):
            await use
    with pytest.raises(ValueError, match="cannot name an artifact"):
        await anext(artifacts.stream(key))


async def test_a_deletion_takes_what_is_below_its_prefix_and_nothing_beside_it(artifacts: Artifacts) -> None:
    for key in ("jobs/1/2/a", "jobs/1/3/b", "jobs/10/1/c"):
        await artifacts.put(key, b"x", "text/plain")
    assert await artifacts.delete("jobs/1") == 2
    assert await artifacts.delete("jobs/1") == 0
    assert await artifacts.get("jobs/10/1/c") == b"x"
    with pytest.raises(NotFound):
        await artifacts.get("jobs/1/2/a")


async def test_a_deletion_by_age_leaves_what_is_younger(artifacts: Artifacts) -> None:
    await artifacts.put("uploads/acme/1", b"x", "text/plain")
    now = datetime.now(UTC)
    assert await artifacts.delete_older("uploads", now - HOUR) == 0
    assert await artifacts.delete_older("uploads", now + HOUR) == 1


async def test_a_ping_writes(artifacts: Artifacts) -> None:
    await artifacts.ping()
    await artifacts.ping()


# What is particular to each


async def test_a_local_folder_holds_only_whole_objects_and_presigns_nothing(tmp_path: Path) -> None:
    artifacts = ObstoreArtifacts(f"file://{tmp_path}/store")
    await artifacts.put("a/b", b"x", "text/plain")
    await artifacts.put("a/b", b"y", "text/plain")
    assert [path.name for path in (tmp_path / "store").rglob("*") if path.is_file()] == ["b"]
    assert await artifacts.url("a/b", "text/plain", HOUR) is None


async def test_a_relative_folder_is_one_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    artifacts = ObstoreArtifacts("file://.holdfast/artifacts")
    await artifacts.put("a", b"x", "text/plain")
    assert (tmp_path / ".holdfast/artifacts/a").read_bytes() == b"x"


async def test_a_disk_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    artifacts = ObstoreArtifacts(f"file://{tmp_path}/file/store")
    with pytest.raises(ArtifactsUnavailable):
        await artifacts.ping()


async def test_s3_presigns_a_link_that_serves_the_media_type(s3_environment: str) -> None:
    artifacts = ObstoreArtifacts("s3://results/signed")
    await artifacts.put("a b.svg", b"<svg/>", "image/svg+xml")
    link = await artifacts.url("a b.svg", "image/svg+xml", HOUR)
    assert link is not None
    assert "X-Amz-Expires=3600" in link
    answer = await asyncio.to_thread(urllib.request.urlopen, link, None, 10)
    assert (answer.read(), answer.headers["Content-Type"]) == (b"<svg/>", "image/svg+xml")


async def test_an_s3_that_is_down_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{probe.getsockname()[1]}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        with pytest.raises(ArtifactsUnavailable, match="s3://results"):
            await ObstoreArtifacts("s3://results").ping()


@pytest.mark.parametrize("url", ["", "file://", "s3://", "/var/lib", "http://bucket", "gs://bucket", "s3://bucket?a=b"])
def test_an_artifacts_url_that_is_none_says_what_to_write(url: str) -> None:
    with pytest.raises(ValueError, match="HOLDFAST_ARTIFACTS_URL"):
        ObstoreArtifacts(url)


# Signed links of local stores


def signed(path: str = "/v1/jobs/1/artifacts/a.pdf", key: bytes = b"key") -> dict[str, str]:
    return dict(pair.split("=") for pair in sign(path, NOW + HOUR, key).split("&"))


def test_a_signed_link_works_until_it_expires() -> None:
    path = "/v1/jobs/1/artifacts/a.pdf"
    assert verify(path, **signed(path), key=b"key", now=NOW)
    assert verify(path, **signed(path), key=b"key", now=NOW + HOUR - timedelta(seconds=1))
    assert not verify(path, **signed(path), key=b"key", now=NOW + HOUR)


@pytest.mark.parametrize("changed", ["path", "expires", "signature", "key"])
def test_a_signed_link_with_anything_changed_does_not_work(changed: str) -> None:
    link = {"path": "/v1/jobs/1/artifacts/a.pdf", "key": b"key", "now": NOW, **signed()}
    other = {"path": "/v1/jobs/2/artifacts/a.pdf", "expires": "99999999999", "signature": "0" * 64, "key": b"other"}
    assert not verify(**(link | {changed: other[changed]}))  # type: ignore[arg-type]


@pytest.mark.parametrize(("expires", "signature"), [("", ""), ("soon", "x"), ("-1", "x"), ("9" * 500, "x"), ("١", "ü")])
def test_a_link_that_is_no_link_is_only_false(expires: str, signature: str) -> None:
    assert not verify("/path", expires, signature, b"key", NOW)
