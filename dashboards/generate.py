"""Write every generated file of the dashboards and alerts: `python dashboards/generate.py`, `--check` only compares.

generated/*.json                              the dashboards
rules/holdfast.yml                            recording rules and alerts, for Prometheus
../infra/grafana/provisioning/alerting/rules.yml   the same alerts, for Grafana
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import grafana_files  # noqa: E402 - the folder is no package
import prometheus_files  # noqa: E402


def files() -> dict[Path, str]:
    """Every generated file with its content."""
    found = {HERE / "generated" / name: content for name, content in grafana_files.dashboards()}
    found[HERE / "rules" / "holdfast.yml"] = prometheus_files.rules()
    found[HERE.parent / "infra" / "grafana" / "provisioning" / "alerting" / "rules.yml"] = grafana_files.rules()
    return found


def main(arguments: list[str]) -> int:
    """Write what differs; with `--check` only say so."""
    differing = [path for path, content in files().items() if not path.exists() or path.read_text() != content]
    stale = [path for path in (HERE / "generated").glob("*.json") if path not in files()]
    for path in (*differing, *stale):
        print(f"{path.relative_to(HERE.parent)} is {'stale' if path in stale else 'out of date'}")
    if "--check" in arguments:
        return 1 if differing or stale else 0
    for path in differing:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files()[path])
    for path in stale:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
