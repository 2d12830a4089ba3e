"""What Chromium is started with.

A page's requests are intercepted (`printing`). That is the first wall, and it has gaps: speculation rules, popups,
WebSockets and WebRTC never pass the interception (measured with Chromium 150). The flags are the second wall and
hold alone: every connection, to a literal address and to localhost too (`<-loopback>`), has to go through a proxy
whose name cannot be resolved (RFC 6761), and without a proxy no UDP is sent. Resolver rules alone would let literal
addresses pass. The third is the network namespace of `supervisor`, where the kernel allows one.
"""

from __future__ import annotations

from pathlib import Path

_ALWAYS = (
    "--headless",
    "--remote-debugging-pipe",
    # No way to the network but a proxy that is not there.
    "--proxy-server=http://proxy.invalid:1",
    "--proxy-bypass-list=<-loopback>",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--disable-quic",
    "--dns-prefetch-disable",
    "--block-new-web-contents",
    # Nothing that a browser does on its own account.
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-client-side-phishing-detection",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-notifications",
    "--disable-sync",
    "--metrics-recording-only",
    "--mute-audio",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-pings",
    "--use-mock-keychain",
    # All frames of a page in one process, where one interception sees all of them: a browser context has one job.
    "--disable-site-isolation-trials",
    "--disable-features=IsolateOrigins,site-per-process,IsolateSandboxedIframes,MediaRouter,OptimizationHints,Translate",
    "--disable-gpu",
    "--disable-dev-shm-usage",  # 64 MiB in most containers
    "--font-render-hinting=none",
    "--hide-scrollbars",
    "--log-level=2",  # errors only: what a page writes to its console is nobody's business
)


def command(program: str, profile: Path) -> list[str]:
    """The command line, with an empty folder for the profile. (`supervisor` adds `--no-sandbox` where it must.)"""
    return [program, *_ALWAYS, f"--user-data-dir={profile}"]
