"""The Kubernetes manifests: their schemas, and that they say what the rest says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import typer
from ruamel.yaml import YAML
from support.image import compose, stages
from support.lake import ROOT

from medallion_jobs.cli import app
from medallion_jobs.config import load
from medallion_jobs.errors import DataError, MedallionError, UsageError

FOLDER = ROOT / "deploy" / "kubernetes"


def read(text: str | Path) -> list[dict[str, Any]]:
    return list(YAML(typ="safe", pure=True).load_all(text))


manifests = {path.relative_to(FOLDER): read(path) for path in sorted(FOLDER.rglob("*.yaml"))}
every = [one for documents in manifests.values() for one in documents]
by_name = {(one["kind"], one["metadata"]["name"]): one for one in every}
scheduled = [one for one in every if one["kind"] == "ScheduledSparkApplication"]
one_pod = by_name["CronJob", "medallion-pipeline"]
cron_jobs = [one for one in every if one["kind"] == "CronJob"]
submitting = [one for one in cron_jobs if one is not one_pod]
environment = by_name["ConfigMap", "medallion-environment"]["data"]
spark = by_name["ConfigMap", "medallion-spark"]["data"]
(template,) = read(spark["pod.yaml"])
properties = dict(re.findall(r"^([^#=\n]+)=(.*)$", spark["spark.properties"], re.MULTILINE))


def called(one: dict[str, Any]) -> str:
    return f"{one['kind']} {one['metadata']['name']}"


def pods() -> Iterator[Any]:
    """Every pod that the manifests ask for, as Kubernetes would see it."""
    yield pytest.param(template, id="template")
    for one in cron_jobs:
        spec = one["spec"]["jobTemplate"]["spec"]["template"]
        yield pytest.param(_pod(spec["spec"], spec["metadata"]["labels"]), id=called(one))
    for one in scheduled:
        app = one["spec"]["template"]
        for part in ("driver", "executor"):
            told = app[part]
            spec = {
                "containers": [
                    {
                        "name": part,
                        "image": app["image"],
                        **{
                            key: told[key] for key in ("envFrom", "securityContext", "volumeMounts")
                        },
                    }
                ],
                "securityContext": told["podSecurityContext"],
                "volumes": app["volumes"],
            }
            yield pytest.param(_pod(spec, told["labels"]), id=f"{called(one)} {part}")


def _pod(spec: dict[str, Any], labels: dict[str, str]) -> dict[str, Any]:
    meta = {"name": "p", "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def assert_valid(document: dict[str, Any]) -> None:
    """Raises an error that names the field; strict: also where a field is not known."""
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("document", [one for one in every if one not in scheduled], ids=called)
def test_it_is_of_the_schema_of_kubernetes(document: dict[str, Any]) -> None:
    assert_valid(document)


@pytest.mark.parametrize("document", scheduled, ids=called)
def test_it_is_of_the_schema_of_the_operator(document: dict[str, Any]) -> None:
    (schema,) = read(ROOT / "tests" / "support" / "scheduled_spark_application.yaml")
    jsonschema.Draft202012Validator(schema).validate(document)


@pytest.mark.parametrize("pod", list(pods()))
def test_a_pod_is_valid_and_can_do_no_more_than_it_has_to(pod: dict[str, Any]) -> None:
    assert_valid(pod)
    assert pod["metadata"]["labels"]["app.kubernetes.io/part-of"] == "medallion"
    allowed = pod["spec"]["securityContext"]
    assert allowed["runAsNonRoot"] is True
    assert f"{allowed['runAsUser']}:{allowed['runAsGroup']}" == stages()[-1].user
    assert allowed["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["spec"]["containers"]:
        assert container["image"] == image()
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
        assert {volume["name"] for volume in pod["spec"]["volumes"]} == mounts.keys()
        assert [one["mountPath"] for one in mounts.values() if not one.get("readOnly")] == ["/tmp"]


def test_every_layer_is_scheduled_both_ways_one_run_at_a_time() -> None:
    layers = {f"medallion-{layer}" for layer in ("bronze", "silver", "gold")}
    for kind in (submitting, scheduled):
        assert {one["metadata"]["name"] for one in kind} == layers
        for one in kind:
            assert one["spec"]["concurrencyPolicy"] == "Forbid"
            assert re.fullmatch(r"\d-59/10 \* \* \* \*", one["spec"]["schedule"])
    # A job of a CronJob that ends before its driver would let the next one in.
    assert properties["spark.kubernetes.submission.waitAppCompletion"] == "true"
    for one in submitting:
        assert one["spec"]["jobTemplate"]["spec"]["backoffLimit"] == 0


@pytest.mark.parametrize("document", submitting, ids=called)
def test_a_cron_job_submits_its_layer_in_cluster_mode(document: dict[str, Any]) -> None:
    (container,) = document["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    words = container["args"]
    assert words[:2] == ["submit", document["metadata"]["name"].removeprefix("medallion-")]
    options = dict(pairwise(words))
    assert options["--deploy-mode"] == "cluster"
    assert options["--master"].startswith("k8s://https://")
    assert options["--config"] == "/etc/medallion/sales.yaml"
    assert "--once" in words
    assert options["--properties-file"] == "/etc/spark/spark.properties"
    assert container["resources"].keys() == {"requests", "limits"}


def test_the_whole_pipeline_in_one_pod_fails_at_once_unless_a_retry_may_succeed() -> None:
    spec = one_pod["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    job = spec["jobTemplate"]["spec"]
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    command, *words = container["args"]
    group: Any = typer.main.get_command(app)
    assert command == "run"
    given = group.commands[command].make_context(command, words).params
    assert str(given["config"]) == "/etc/medallion/sales.yaml"
    assert not given["continuous"]
    # Codes of errors that stay; 75 and a kill count towards the limit.
    lasting = [error.exit_code for error in (DataError, UsageError, MedallionError)]
    (fails,) = [r for r in job["podFailurePolicy"]["rules"] if r["action"] == "FailJob"]
    assert fails["onExitCodes"] == {
        "containerName": container["name"],
        "operator": "In",
        "values": lasting,
    }
    assert job["backoffLimit"] > 0
    assert pod["restartPolicy"] == "Never"  # Kubernetes demands it for such a policy


@pytest.mark.parametrize("document", scheduled, ids=called)
def test_the_operator_runs_the_same_job(document: dict[str, Any]) -> None:
    app = document["spec"]["template"]
    layer = document["metadata"]["name"].removeprefix("medallion-")
    assert app["mainApplicationFile"] == f"local:///opt/medallion/medallion_jobs/{layer}.py"
    assert app["arguments"] == ["--config", "/etc/medallion/sales.yaml", "--once"]
    own = re.findall(r"(?m)^pyspark==([\d.]+)", (ROOT / "requirements.lock").read_text("utf-8"))
    assert [app["sparkVersion"]] == own
    assert {key: value for key, value in app["sparkConf"].items() if key in properties} == {
        key: value for key, value in properties.items() if key in app["sparkConf"]
    }
    for part in ("driver", "executor"):
        at = app["sparkConf"][f"spark.{part}.extraClassPath"]
        assert at == f"{stages()[-1].env['MEDALLION_CACHE']}/jars/*"


def test_spark_starts_the_pods_of_the_template() -> None:
    for part in ("driver", "executor"):
        assert properties[f"spark.kubernetes.{part}.podTemplateFile"] == "/etc/spark/pod.yaml"
        name = properties[f"spark.kubernetes.{part}.podTemplateContainerName"]
        assert [one["name"] for one in template["spec"]["containers"]] == [name]
    assert properties["spark.kubernetes.container.image"] == image()
    account = properties["spark.kubernetes.authenticate.driver.serviceAccountName"]
    assert ("ServiceAccount", account) in by_name
    assert properties["spark.authenticate"] == properties["spark.network.crypto.enabled"] == "true"


def test_what_is_named_is_there_and_secrets_are_only_named() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.yaml"))
    assert {name for kind, name in by_name if kind == "ConfigMap"} == {
        *re.findall(r"configMap(?:Ref)?: \{name: ([\w-]+)\}", text)
    }
    assert {*re.findall(r"secretRef: \{name: ([\w-]+)\}", text)} == {"medallion-s3"}
    assert not [one for one in every if one["kind"] == "Secret"]
    assert not re.search(r"(?i)(secret|password|access)[_.]?key['\"]?\s*[:=]", text)


def test_the_config_is_the_shipped_one_and_the_environment_fits_it(tmp_path: Path) -> None:
    told = by_name["ConfigMap", "medallion-config"]["data"]["sales.yaml"]
    assert told == (ROOT / "conf" / "sales.yaml").read_text(encoding="utf-8")
    (tmp_path / "sales.yaml").write_text(told, encoding="utf-8")
    local = {**environment, "MEDALLION__STORAGE__ROOT": "/l", "MEDALLION__LANDING__ROOT": "/i"}
    assert load(tmp_path / "sales.yaml", environ=local).pipeline.pipeline == "sales"


def image() -> str:
    """The name that compose builds the image under."""
    secrets = ("SPARK_AUTH_SECRET", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    name: str = compose(dict.fromkeys(secrets, "s"))["services"]["gold"]["image"]
    return name
