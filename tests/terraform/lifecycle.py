"""An environment's life against the stand-in: init, validate, plan, apply, a second plan, destroy.

Invariant: steps run in this order in a thread of their own, each once; whoever waits for one that failed, or
comes after one that failed, gets its reason.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import boto3
from standin.running import StandIn
from terraform_cli import Terraform

STEPS = ("init", "validate", "plan", "apply", "state", "plan again", "destroy")
VARIABLES = "-var-file=example.tfvars"  # as the guide copies them
UNPROTECTED = "-var=deletion_protection=false"
BUCKET = "terraform-state"
REGION = "eu-central-1"


class Lifecycle:
    """One environment; `start` it, then `result` of a step waits for it.

    The second plan is the one to read: what the first cannot know yet (ARNs, and so the containers), it tells.
    """

    def __init__(self, name: str, standin: StandIn, certificate: str, folder: Path, say: Callable[[str], None]) -> None:
        self.name = name
        self.seconds: dict[str, float] = {}
        self._say = say
        self._given = (VARIABLES, f"-var=certificate_arn={certificate}")
        self._results: dict[str, Future[Any]] = {step: Future() for step in STEPS}
        self._terraform = Terraform.at(folder / "environments" / name, standin.environment())
        self._thread = threading.Thread(target=self._run, name=f"terraform-{name}", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def result(self, step: str, timeout: float = 1800) -> Any:
        """What the step gave: a plan as JSON, or the state as text; raises why it failed."""
        return self._results[step].result(timeout)

    def _run(self) -> None:
        actions = {
            "init": self._init,
            "validate": lambda: self._terraform.run("validate"),
            "plan": self._plan,
            "apply": lambda: self._terraform.run("apply", "-auto-approve", "first.tfplan", timeout=1500),
            "state": lambda: self._terraform.run("state", "pull"),
            "plan again": self._plan_again,
            "destroy": self._destroy,
        }
        failed: BaseException | None = None
        for step in STEPS:
            if failed is not None:
                self._results[step].set_exception(failed)
                continue
            began = time.monotonic()
            try:
                given = actions[step]()
            except BaseException as error:  # whoever waits gets it
                failed = error
                self._results[step].set_exception(error)
            else:
                self.seconds[step] = time.monotonic() - began
                self._say(f"{self.name}: {step} {self.seconds[step]:.0f} s")
                self._results[step].set_result(given)

    def _init(self) -> None:
        settings = {
            "bucket": BUCKET,
            "key": f"{self.name}.tfstate",
            "region": REGION,
            "use_path_style": "true",
            "skip_requesting_account_id": "true",
        }
        self._terraform.init("-reconfigure", *(f"-backend-config={name}={value}" for name, value in settings.items()))

    def _plan(self) -> dict[str, Any]:
        self._terraform.run("plan", *self._given, "-out=first.tfplan", timeout=900)
        return self._terraform.shown("first.tfplan")

    def _plan_again(self) -> dict[str, Any]:
        self._terraform.run("plan", *self._given, "-out=second.tfplan", "-detailed-exitcode", timeout=900, codes=(0, 2))
        return self._terraform.shown("second.tfplan")

    def _destroy(self) -> None:
        self._terraform.run("apply", *self._given, UNPROTECTED, "-refresh=false", "-auto-approve", timeout=1500)
        self._terraform.run("destroy", *self._given, UNPROTECTED, "-refresh=false", "-auto-approve", timeout=1500)
        left = json.loads(self._terraform.run("state", "pull"))["resources"]
        assert not left, f"destroy left {[resource['type'] for resource in left]}"


def what_must_be_there(standin: StandIn) -> str:
    """What a person makes by hand first: the bucket for the states, and a certificate; returns the ARN of that."""
    given = {"endpoint_url": standin.url, "aws_access_key_id": "standin", "aws_secret_access_key": "standin"}
    boto3.client("s3", REGION, **given).create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    certificate = boto3.client("acm", REGION, **given).request_certificate(DomainName="jobs.example.com")
    return str(certificate["CertificateArn"])


def changes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """What a plan would do: each resource's address, its actions, and the attributes that differ."""
    found = []
    for resource in plan.get("resource_changes", []):
        change = resource["change"]
        if change["actions"] in (["no-op"], ["read"]):
            continue
        before, after = change["before"] or {}, change["after"] or {}
        unknown = change.get("after_unknown") or {}
        differs = sorted(
            key for key in {*before, *after} if before.get(key) != after.get(key) or unknown.get(key) is True
        )
        found.append({"address": resource["address"], "actions": change["actions"], "differs": differs})
    return found
