"""The program behind `make demo`: three real jobs, and the proof that each happened once.

    python examples/demo/demo.py --out out

Against a running api and its workers (HOLDFAST_API_URL) it has a photograph of 12 megapixels made into three
variants, a two-page invoice rendered, and a signed webhook delivered to a receiver in this process. Then it opens the
results, and posts every job again under its key. It exits with 0 only if every check held; each one that did not is
named, with what was seen instead. Keys are new in each run, so that each run does real work.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from assets import INVOICE_TEMPLATE, invoice_data, photograph
from checks import Checks
from receiver import Receiver, new_secret
from rich.live import Live
from rich.table import Table

from holdfast.cli import show
from holdfast.client import ClientError, Holdfast, Job, Patience
from holdfast.settings import Settings

PATIENCE = 120.0
"""Seconds for all three jobs. They take about two on two cores; a cold worker takes longer."""
SETTLE = 1.0
"""Seconds in which a job that was posted again would have run again: a ticket reaches its worker in milliseconds."""
VARIANTS: tuple[Mapping[str, Any], ...] = (
    {"name": "large", "format": "jpeg", "width": 1600, "quality": 82},
    {"name": "square", "format": "webp", "width": 800, "height": 800, "fit": "cover", "gravity": "attention"},
    {
        "name": "thumbnail",
        "format": "avif",
        "width": 400,
        "watermark": {"text": "Holdfast", "gravity": "southeast", "opacity": 0.9, "scale": 0.5},
    },
)
EXPECTED = {
    "large.jpg": ("jpegload", 1600, 1200),
    "square.webp": ("webpload", 800, 800),
    "thumbnail.avif": ("heifload", 400, 300),
}
"""Artifact: the libvips loader that must recognise it, width, height. The photograph is 4:3 when it is upright."""


def main() -> int:
    """Run the demo; the exit code of the process."""
    arguments = argparse.ArgumentParser(description="Three real jobs, checked.")
    arguments.add_argument("--out", type=Path, default=Path("out"), help="where results go (default: out)")
    arguments.add_argument(
        "--receiver-host", default="127.0.0.1", help="address of this machine at which the workers reach the receiver"
    )
    options = arguments.parse_args()
    settings = Settings()
    key = settings.api_key.get_secret_value() if settings.api_key else None
    try:
        with (
            Holdfast(settings.api_url, key, patience=Patience(total=10)) as client,
            Receiver(new_secret(), options.receiver_host) as receiver,
        ):
            return demonstrate(client, receiver, options.out, settings)
    except ClientError as error:
        print(f"error: {error}\n  fix: `make demo` starts everything; or start the api and both workers first.")
        return 1
    except KeyboardInterrupt:
        print("interrupted")
        return 130


def demonstrate(client: Holdfast, receiver: Receiver, out: Path, settings: Settings) -> int:
    """Prepare, submit, follow, fetch, check, repeat, report."""
    checks = Checks()
    if not ready(client):
        return 1
    out.mkdir(parents=True, exist_ok=True)
    for name in (*EXPECTED, "invoice.pdf", "webhook.json", "jobs.json"):
        (out / name).unlink(missing_ok=True)  # so that no result of an earlier run is taken for this one's
    orders = prepare(client, receiver)
    jobs = follow(client, [order.submit(client).id for order in orders])
    (out / "jobs.json").write_text(json.dumps([job.model_dump(mode="json") for job in jobs], indent=2) + "\n")
    if check_ended(checks, jobs):
        fetch(client, jobs, receiver, out)
        check_images(checks, out)
        check_pdf(checks, out / "invoice.pdf")
        check_webhook(checks, receiver, jobs[2])
        check_repetition(checks, client, receiver, orders, jobs)
    report(jobs, out, settings)
    return checks.verdict()


# Before


@dataclass(frozen=True, slots=True)
class Order:
    """A job to submit, under a key that is its own for ever."""

    kind: str
    payload: Mapping[str, Any]
    key: str

    def submit(self, client: Holdfast) -> Job:
        """Submit it, for the first time or again."""
        return client.submit(self.kind, self.payload, key=self.key, tags=["demo"])


def ready(client: Holdfast) -> bool:
    """Whether the api can take jobs; says what is missing."""
    readiness = client.ready()
    missing = {name: it.error for name, it in readiness.dependencies.items() if not it.ok}
    for name, error in missing.items():
        print(f"error: the api at {client.url} is not ready: {name}: {error or 'does not answer'}")
    return not missing


def prepare(client: Holdfast, receiver: Receiver) -> Sequence[Order]:
    """Make the inputs; upload the photograph."""
    began = time.monotonic()
    picture = photograph()
    print(f"drew a photograph of 12 megapixels ({show.size(len(picture))}) in {show.seconds(time.monotonic() - began)}")
    upload = client.upload(picture, "image/jpeg")
    data = invoice_data()
    run = secrets.token_hex(4)
    webhook = {"invoice": data["number"], "total_cents": data["total"], "buyer": data["buyer"]["name"]}
    return (
        Order("image.transform", {"source": {"upload": upload.id}, "variants": VARIANTS}, f"demo-{run}-image"),
        Order(
            "pdf.render",
            {
                "template": INVOICE_TEMPLATE.read_text(encoding="utf-8"),
                "data": data,
                "page": {"size": "A4"},
                "name": "invoice.pdf",
            },
            f"demo-{run}-invoice",
        ),
        Order(
            "webhook.dispatch",
            {"url": receiver.url, "body": webhook, "event_type": "invoice.issued", "secret": receiver.secret},
            f"demo-{run}-webhook",
        ),
    )


# Meanwhile


def follow(client: Holdfast, ids: Sequence[str]) -> Sequence[Job]:
    """Show the jobs until all have ended or the patience has."""
    console = show.console()
    if not console.is_terminal:
        return watch(client, ids, lines())
    with Live(console=console, auto_refresh=False, transient=True) as live:
        return watch(client, ids, lambda jobs: live.update(show.jobs_table(jobs), refresh=True))


def watch(client: Holdfast, ids: Sequence[str], shown: Callable[[Sequence[Job]], None]) -> Sequence[Job]:
    """Look at the jobs ten times a second."""
    until = time.monotonic() + PATIENCE
    while True:
        jobs = [client.get(job_id) for job_id in ids]
        shown(jobs)
        if all(job.ended for job in jobs) or time.monotonic() >= until:
            return jobs
        time.sleep(0.1)


def lines() -> Callable[[Sequence[Job]], None]:
    """Progress where there is no terminal: one line for each change."""
    last: dict[str, tuple[str, int]] = {}

    def print_changes(jobs: Sequence[Job]) -> None:
        for job in jobs:
            if last.get(job.id) != (job.state, job.attempt):
                last[job.id] = (job.state, job.attempt)
                print(f"{job.kind} {job.id} {job.state}", flush=True)

    return print_changes


# After


def fetch(client: Holdfast, jobs: Sequence[Job], receiver: Receiver, out: Path) -> None:
    """Write all artifacts (the client checks their digests) and the receipt of the webhook."""
    for job in jobs:
        for link in job.artifacts:
            (out / Path(link.name).name).write_bytes(client.download(job, link.name))
    receipts = [{"id": it.id, "headers": it.headers, "body": it.json} for it in receiver.received]
    receipt = {"signature_verified": bool(receipts), "refused": receiver.refused, "received": receipts}
    (out / "webhook.json").write_text(json.dumps(receipt, indent=2, ensure_ascii=False) + "\n")


def check_ended(checks: Checks, jobs: Sequence[Job]) -> bool:
    """Every job succeeded."""
    print("\nThe jobs")
    found = [checks.expect(f"{job.kind} succeeded", why(job), "succeeded") for job in jobs]
    return all(found)


def why(job: Job) -> str:
    """The state, and what led to it."""
    return f"{job.state} ({job.failure.error}: {job.failure.message})" if job.failure else job.state


def check_images(checks: Checks, out: Path) -> None:
    """Open each variant: its format, size and pixels are what was asked for, and nothing tells where it was taken."""
    import pyvips

    print("\nThe pictures")
    for name, (loader, width, height) in EXPECTED.items():
        try:
            picture = pyvips.Image.new_from_file(str(out / name), fail_on="error")
            seen = (picture.get("vips-loader"), picture.width, picture.height)
            deviation = picture.deviate()  # reads every pixel
        except (pyvips.Error, OSError) as error:
            checks.expect(f"{name} is a picture", str(error).strip(), "a picture")
            continue
        checks.expect(f"{name} is {width} × {height}, read by {loader}", seen, (loader, width, height))
        checks.expect(f"{name} shows something", deviation > 10, True)
        places = [tag for tag in picture.get_fields() if "GPS" in tag]
        checks.expect(f"{name} does not tell where it was taken", places, [])
    if all((out / name).exists() for name in EXPECTED):
        checks.expect("thumbnail.avif carries the watermark", watermarked(out), True)


def watermarked(out: Path) -> bool:
    """Whether the thumbnail differs from the plain picture where the text belongs, and hardly elsewhere."""
    import pyvips

    plain = pyvips.Image.new_from_file(str(out / "large.jpg")).thumbnail_image(400)
    thumbnail = pyvips.Image.new_from_file(str(out / "thumbnail.avif"))[0:3]
    if (thumbnail.width, thumbnail.height) != (plain.width, plain.height):
        return False
    difference = (thumbnail - plain).abs()
    lower_right = difference.crop(200, 225, 200, 75).avg()
    elsewhere = difference.crop(0, 0, 400, 225).avg()
    return bool(lower_right > 2 * elsewhere)


def check_pdf(checks: Checks, path: Path) -> None:
    """Open the invoice: two pages of A4, and its text can be read by a program."""
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    print("\nThe invoice")
    data = invoice_data()
    try:
        pages = PdfReader(path).pages
        text = " ".join(" ".join(page.extract_text() for page in pages).split())
        size = tuple(round(float(side)) for side in (pages[0].mediabox.width, pages[0].mediabox.height))
    except (PyPdfError, OSError, IndexError) as error:
        checks.expect("invoice.pdf is a PDF", repr(error), "a PDF")
        return
    checks.expect("invoice.pdf has two pages", len(pages), 2)
    checks.expect("its pages are A4 (in points)", size, (595, 842))
    wanted = [data["number"], data["buyer"]["name"], *(line["title"] for line in data["lines"])]
    checks.expect("its number, buyer and all lines can be extracted", [it for it in wanted if it not in text], [])


def check_webhook(checks: Checks, receiver: Receiver, job: Job) -> None:
    """The receiver verified the signature before it counted anything."""
    print("\nThe webhook")
    checks.expect("no request had a bad signature", receiver.refused, 0)
    checks.expect("one webhook with a good signature arrived", len(receiver.received), 1)
    for delivery in receiver.received[:1]:
        checks.expect("its id is the job's", delivery.id.endswith(job.id.replace("-", "")), True)
        checks.expect("it has the event's type", delivery.json["type"], "invoice.issued")
        checks.expect("it is about our invoice", delivery.json["data"]["invoice"], invoice_data()["number"])


def check_repetition(
    checks: Checks, client: Holdfast, receiver: Receiver, orders: Sequence[Order], jobs: Sequence[Job]
) -> None:
    """Post every job again under its key: the answer is the same job, and nothing runs."""
    print("\nEvery job posted again, under the same key")
    before = [client.attempts(job.id) for job in jobs]
    for order, job in zip(orders, jobs, strict=True):
        again = order.submit(client)
        checks.expect(f"{job.kind}: the same job", again.id, job.id)
        checks.expect(f"{job.kind}: marked as Idempotent-Replayed", again.replayed, True)
    time.sleep(SETTLE)
    for job, attempts in zip(jobs, before, strict=True):
        checks.expect(f"{job.kind}: no new attempt", client.attempts(job.id), attempts)
        checks.expect(f"{job.kind}: still as it ended", client.get(job.id).finished_at, job.finished_at)
    checks.expect("the receiver has one delivery", sum(receiver.deliveries.values()), 1)


def report(jobs: Sequence[Job], out: Path, settings: Settings) -> None:
    """The table, and where to look on."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("job", "state", "queue wait", "run time", "results"):
        table.add_column(column, no_wrap=True)
    for job in jobs:
        results = [f"{link.name} {show.size(link.size)}" for link in job.artifacts]
        if not results and job.result:
            results = [f"status {job.result['status']}"] if "status" in job.result else []
        waited, ran = show.seconds(job.queue_wait_seconds), show.seconds(job.run_seconds)
        table.add_row(job.kind, show.state(job.state), waited, ran, "\n".join(results))
    print()
    show.console().print(table)
    management = os.environ.get("RABBITMQ_MANAGEMENT_URL") or settings.rabbitmq_management_url.get_secret_value()
    print(f"\nResults              {out.resolve()}")
    print(f"Console              {settings.api_url.rstrip('/')}/")
    print(f"API documentation    {settings.api_url.rstrip('/')}/docs")
    print(f"RabbitMQ management  {sign_in(management)}")


def sign_in(management: str) -> str:
    """The address without its password, and where that is found."""
    parts = urlsplit(management)
    address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    if not parts.username:
        return address
    hint = "holdfast" if parts.password == "holdfast" else "in HOLDFAST_RABBITMQ_MANAGEMENT_URL of .holdfast/env"  # noqa: S105
    return f"{address}  user {parts.username}, password {hint}"


if __name__ == "__main__":
    sys.exit(main())
