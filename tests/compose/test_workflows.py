"""GitHub's workflows, parsed: pinned by commit, least permissions, no stored key, and only commands that exist.

actionlint itself runs in the workflow `ci`; it cannot be had as a package of its authors on every machine.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
FILES = {path.stem: path for path in sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))}
WORKFLOWS: dict[str, dict[str, Any]] = {name: yaml.safe_load(path.read_text()) for name, path in FILES.items()}
STEPS = [
    (f"{name}.{job}", step)
    for name, workflow in WORKFLOWS.items()
    for job, body in workflow["jobs"].items()
    for step in body.get("steps", [])
]

every = pytest.mark.parametrize("name", WORKFLOWS)


def test_there_is_one_to_check_one_to_release_and_one_to_deploy() -> None:
    assert set(WORKFLOWS) == {"ci", "release", "deploy"}


@every
def test_actions_are_pinned_by_commit_and_say_which_version_that_is(name: str) -> None:
    used = re.findall(r"uses: (\S+)(.*)", FILES[name].read_text())
    pinned = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
    loose = [
        action
        for action, comment in used
        if not action.startswith(("./", "docker://")) and not (pinned.fullmatch(action) and " # v" in comment)
    ]
    assert used and not loose


def test_images_of_workflows_carry_an_exact_version() -> None:
    text = "".join(path.read_text() for path in FILES.values())
    images = re.findall(r"(?:docker://|image: |aquasec/)([\w./-]*:[^\s\"]+)", text)
    assert images and [image for image in images if not re.search(r":\d+\.\d+", image)] == []


@every
def test_a_workflow_may_read_and_a_job_says_what_more_it_needs(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}


def test_aws_is_entered_by_oidc_and_nothing_else() -> None:
    text = "".join(path.read_text() for path in FILES.values())
    assert not re.search(r"aws-access-key-id|AWS_SECRET|AWS_ACCESS|aws-secret", text, re.I)
    for name, workflow in WORKFLOWS.items():
        for job, body in workflow["jobs"].items():
            enters = any("configure-aws-credentials" in step.get("uses", "") for step in body.get("steps", []))
            assert not enters or body["permissions"]["id-token"] == "write", f"{name}.{job}"


def test_every_job_ends_and_every_checkout_forgets_its_token() -> None:
    for name, workflow in WORKFLOWS.items():
        for job, body in workflow["jobs"].items():
            assert "timeout-minutes" in body or "uses" in body, f"{name}.{job}"
    for place, step in STEPS:
        if "actions/checkout" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False, place


def test_every_make_target_and_file_of_a_step_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.M))
    for place, step in STEPS:
        for target in re.findall(r"\bmake ([a-z][a-z-]+)", step.get("run", "").replace("make python3", "")):
            assert target in targets, f"{place}: make {target}"


def test_what_strangers_wrote_is_never_part_of_a_script() -> None:
    for place, step in STEPS:
        assert "${{" not in step.get("run", ""), f"{place}: hand it over in env"


def test_production_follows_dev_and_both_migrate_before_they_apply() -> None:
    jobs = WORKFLOWS["release"]["jobs"]
    assert jobs["dev"]["needs"] == ["image"] and jobs["production"]["needs"] == ["dev"]
    steps = [step.get("name", "") for step in WORKFLOWS["deploy"]["jobs"]["deploy"]["steps"]]
    order = [
        next(i for i, name in enumerate(steps) if name.startswith(word)) for word in ("Migrate", "Apply", "The main")
    ]
    assert order == sorted(order)
    assert WORKFLOWS["deploy"]["jobs"]["deploy"]["environment"] == "${{ inputs.environment }}"


def test_every_image_that_is_released_is_a_target() -> None:
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", (REPOSITORY / "infra" / "Dockerfile").read_text(), re.M))
    assert set(WORKFLOWS["release"]["jobs"]["image"]["strategy"]["matrix"]["target"]) <= stages
