"""What stands between a client and the broker: a proxy that cuts, slices, or speaks TLS."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def certificate(folder: Path) -> Path:
    """A key and a certificate for localhost that vouches for itself; returns the certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    (folder / "certificate.pem").write_bytes(made.public_bytes(pem))
    return folder / "certificate.pem"


class Proxy:
    """A TCP proxy to the broker whose connections can be cut in the middle; it passes on `chunk` bytes at a time.

    With `tls` it speaks TLS to the client, by the key and the certificate of that folder.
    """

    def __init__(self, target: str, *, chunk: int = 65536, tls: Path | None = None) -> None:
        parts = urlsplit(target)
        self._target, self._chunk, self._tls = (parts.hostname or "", parts.port or 5672), chunk, None
        self._server = socket.create_server(("127.0.0.1", 0))
        if tls is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(tls / "certificate.pem", tls / "key.pem")
        netloc, host = parts.netloc.rsplit("@", 1)[0], "localhost" if tls else "127.0.0.1"
        scheme, port = "amqps" if tls else "amqp", self._server.getsockname()[1]
        self.url = parts._replace(scheme=scheme, netloc=f"{netloc}@{host}:{port}").geturl()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break every connection."""
        for end in self._open:
            end.close() if end.fileno() < 0 else end.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def close(self) -> None:
        self._server.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            near = self._tls.wrap_socket(near, server_side=True) if self._tls else near
            self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(self._chunk):
                sink.sendall(data)
        except OSError:
            return
