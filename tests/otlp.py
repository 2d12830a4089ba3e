"""A receiver of traces, as a collector would be one: OTLP over HTTP, protobuf, on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")


@dataclass(frozen=True)
class Span:
    """One span, as it was exported. Ids are lower-case hex; an empty parent is a root."""

    service: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    links: tuple[tuple[str, str], ...]
    attributes: dict[str, Any]
    failed: bool
    start: int
    end: int


class Collector:
    """Keeps every span that is sent to it."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """What OTEL_EXPORTER_OTLP_ENDPOINT is set to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Collector:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def of(self, trace: str) -> list[Span]:
        """The spans of one trace: each before its children, these in the order in which they began."""
        spans = sorted((span for span in self.spans if span.trace == trace), key=lambda span: span.start)
        known = {span.id for span in spans}

        def below(parent: str) -> Iterator[Span]:
            for span in spans:
                if span.parent == parent:
                    yield span
                    yield from below(span.id)

        roots = dict.fromkeys(span.parent for span in spans if span.parent not in known)
        return [span for root in roots for span in below(root)]

    def _take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [_span(about["service.name"], sent) for sent in scope.spans]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                collector._take(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Not news."""

        return Handler


def _span(service: str, sent: Any) -> Span:
    return Span(
        service,
        sent.name,
        KINDS[sent.kind],
        sent.trace_id.hex(),
        sent.span_id.hex(),
        sent.parent_span_id.hex(),
        tuple((link.trace_id.hex(), link.span_id.hex()) for link in sent.links),
        {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in sent.attributes},
        sent.status.code == 2,
        sent.start_time_unix_nano,
        sent.end_time_unix_nano,
    )
