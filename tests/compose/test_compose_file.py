"""docker-compose.yml, read as Compose reads it: the eight services, and nothing open, unbounded or unpinned."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
TEXT = (REPOSITORY / "docker-compose.yml").read_text()
FILE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
EIGHT = {"api", "worker-render", "worker-webhook", "rabbitmq", "redis", "postgres", "prometheus", "grafana"}
PROCESSES = {"api", "worker-render", "worker-webhook", "worker-render-chromium"}
WORKERS = PROCESSES - {"api"}
TRANSIENT = {"smoke", "loadtest", "flower", "tracing"}
"""Run for as long as somebody looks: nobody waits for their health."""
PINNED = re.compile(r"[\w./-]+:v?\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?")
BUILT = re.compile(r"holdfast[a-z-]*:\$\{HOLDFAST_VERSION:-local\}")

every = pytest.mark.parametrize("name", sorted(SERVICES))
each_of_eight = pytest.mark.parametrize("name", sorted(EIGHT))


def test_exactly_the_eight_services_start_by_default() -> None:
    assert {name for name, service in SERVICES.items() if "profiles" not in service} == EIGHT


def test_the_rest_is_in_profiles() -> None:
    profiles = {profile for service in SERVICES.values() for profile in service.get("profiles", [])}
    assert profiles == {"chromium", "flower", "tracing", "loadtest", "smoke"}


@every
def test_images_are_built_here_or_pinned(name: str) -> None:
    image = SERVICES[name]["image"]
    assert (BUILT if "build" in SERVICES[name] else PINNED).fullmatch(image), image


def test_targets_exist_and_bases_are_pinned() -> None:
    dockerfile = (REPOSITORY / "infra" / "Dockerfile").read_text()
    stages = dict(re.findall(r"^FROM (\S+) AS (\S+)$", dockerfile, re.M))
    names = set(re.findall(r"^FROM \S+ AS (\S+)$", dockerfile, re.M))
    bases = {base for base in stages if base not in names}
    assert all(PINNED.fullmatch(base) for base in bases), bases
    assert {service["build"]["target"] for service in SERVICES.values() if "build" in service} <= names
    assert re.findall(r"^FROM .*$", dockerfile, re.M)[-1] == "FROM process AS holdfast"


def test_the_dockerfile_is_linted() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, REPOSITORY / "infra" / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_uv_in_the_image_is_that_of_the_sandbox() -> None:
    ours = re.search(r'UV_VERSION = "([^"]+)"', (REPOSITORY / "infra" / "sandbox" / "venv.py").read_text())
    theirs = re.search(r"ARG UV_VERSION=(\S+)", (REPOSITORY / "infra" / "Dockerfile").read_text())
    assert ours and theirs and ours[1] == theirs[1]


@every
def test_only_loopback_is_published(name: str) -> None:
    ports = SERVICES[name].get("ports", [])
    assert all(re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z_]+_PORT:-\d+\}:\d+", port) for port in ports), ports


@pytest.mark.parametrize("name", sorted(WORKERS))
def test_workers_can_be_scaled(name: str) -> None:
    assert not {"ports", "container_name", "hostname"} & SERVICES[name].keys()


@every
def test_nothing_can_do_more_than_it_must(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True and "/tmp" in service["tmpfs"]
    assert "privileged" not in service and "/var/run/docker.sock" not in str(service.get("volumes", ""))
    assert set(service.get("cap_add", [])) <= {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}


@every
def test_everything_is_bounded(name: str) -> None:
    service = SERVICES[name]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert service["logging"]["options"].keys() >= {"max-size", "max-file"}


@each_of_eight
def test_every_service_says_whether_it_is_well_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    assert set(service["healthcheck"]) == {"test", "interval", "timeout", "start_period", "retries"}
    assert service["restart"] == "unless-stopped"
    assert re.fullmatch(r"\d+s", service.get("stop_grace_period", ""))


@every
def test_what_is_waited_for_is_waited_for_until_it_is_healthy(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        assert how == {"condition": "service_healthy"} and "healthcheck" in SERVICES[other]


def test_a_worker_ends_by_itself_before_it_is_killed() -> None:
    for name in WORKERS:
        service = SERVICES[name]
        assert (
            int(service["environment"]["HOLDFAST_WORKER_GRACE"]) + 15 <= int(service["stop_grace_period"][:-1]) <= 120
        )


def test_every_process_runs_the_one_image_by_command() -> None:
    assert {name: SERVICES[name]["command"] for name in PROCESSES} == {
        "api": ["holdfast", "api"],
        "worker-render": ["holdfast", "worker", "render"],
        "worker-webhook": ["holdfast", "worker", "webhook"],
        "worker-render-chromium": ["holdfast", "worker", "render"],
    }
    assert {SERVICES[name]["image"] for name in PROCESSES - {"worker-render-chromium"}} == {
        "holdfast:${HOLDFAST_VERSION:-local}"
    }


def test_every_environment_key_of_ours_is_a_setting() -> None:
    known = (REPOSITORY / "docs" / "guides" / "configuration.md").read_text()
    for name in PROCESSES:
        keys = {key for key in SERVICES[name]["environment"] if key.startswith("HOLDFAST_")}
        assert [key for key in keys if f"`{key}`" not in known] == []


def test_every_secret_comes_from_the_env_file() -> None:
    secrets = {
        f"{name}.{key}": value
        for name, service in SERVICES.items()
        for key, value in service.get("environment", {}).items()
        if re.search(r"PASS|AUTH|SECRET|KEYS?$", key)
    }
    assert len(secrets) > 10
    assert {key: value for key, value in secrets.items() if not re.search(r"\$\{[A-Z_]+:[?-][^}]*\}$", value)} == {}
    assert re.findall(r"://\w*:(?!\$\{)[^/\s]+@", TEXT) == []


def test_the_example_names_every_variable() -> None:
    used = set(re.findall(r"\$\{([A-Z_]+)", TEXT)) - {"HOLDFAST_API_KEY", "UV_DEFAULT_INDEX"}
    example = (REPOSITORY / ".env.example").read_text()
    assert used - set(re.findall(r"^#?([A-Z_]+)=", example, re.M)) == set()


def test_make_env_writes_private_random_secrets_once(tmp_path: Path) -> None:
    (tmp_path / ".env.example").write_text((REPOSITORY / ".env.example").read_text())

    def make() -> subprocess.CompletedProcess[str]:
        command = [REPOSITORY / "infra" / "make-env", tmp_path]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert make().returncode == 0
    first = (tmp_path / ".env").read_text()
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    required = set(re.findall(r"\$\{([A-Z_]+):\?", TEXT))
    values = dict(re.findall(r"^([A-Z_]+)=(.+)$", first, re.M))
    assert values.keys() == required and len(set(values.values())) == len(required)
    assert make().returncode == 0 and (tmp_path / ".env").read_text() == first
    (tmp_path / ".env").write_text(first.replace("REDIS_PASSWORD=", "X="))
    again = make()
    assert again.returncode == 1 and "lacks REDIS_PASSWORD" in again.stderr


def test_the_encryption_key_of_make_env_opens_what_it_sealed(tmp_path: Path) -> None:
    from pydantic_settings import BaseSettings

    from holdfast.adapters.vault import FernetVault

    (tmp_path / ".env.example").write_text("HOLDFAST_ENCRYPTION_KEYS=\n")
    subprocess.run([REPOSITORY / "infra" / "make-env", tmp_path], check=True, capture_output=True)

    class Read(BaseSettings):
        holdfast_encryption_keys: tuple[str, ...]

    vault = FernetVault(Read(_env_file=tmp_path / ".env").holdfast_encryption_keys)  # type: ignore[call-arg]
    assert vault.open(vault.seal("secret")) == "secret"


def test_both_ways_to_find_targets_have_the_same_jobs() -> None:
    scrape = REPOSITORY / "infra" / "prometheus" / "scrape"
    files, dns = (
        {job["job_name"]: job for job in yaml.safe_load((scrape / name).read_text())["scrape_configs"]}
        for name in ("files.yml", "dns.yml")
    )
    assert files.keys() - dns.keys() == {"steward"} and not dns.keys() - files.keys()
    for name, job in dns.items():
        same = ("metrics_path", "params")
        assert [job.get(key) for key in same] == [files[name].get(key) for key in same]
    names = [name for job in dns.values() for sd in job.get("dns_sd_configs", []) for name in sd["names"]]
    assert {name.removesuffix("@SUFFIX@") for name in names} == {"rabbitmq", "api", "worker-render", "worker-webhook"}
