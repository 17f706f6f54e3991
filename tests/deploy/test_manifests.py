"""The example manifests: that they are of the form they have to be, and fit this project."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import cli as ray_command
from typer.main import get_command

from search.cli import app
from search.config import load_config

ROOT = Path(__file__).parents[2]
KUBERAY = ROOT / "deploy" / "kuberay.yaml"
RAY_UP = ROOT / "deploy" / "ray-up.yaml"
RAYJOB_SCHEMA = json.loads((Path(__file__).parent / "rayjob.json").read_text())
KUBERNETES = "1.37"
INVALID = (jsonschema.ValidationError, kubernetes_validate.ValidationError)

Manifest = dict[str, Any]


@pytest.fixture
def objects() -> dict[str, Manifest]:
    """A copy of the Kubernetes objects, by their kind."""
    # PyYAML gives an anchor's users one and the same object: a change to one would change them all.
    documents = json.loads(json.dumps(list(yaml.safe_load_all(KUBERAY.read_text()))))
    return {document["kind"]: document for document in documents}


@pytest.fixture
def cluster() -> Manifest:
    """A copy of what `ray up` reads."""
    return yaml.safe_load(RAY_UP.read_text())


def pod_templates(job: Manifest) -> dict[str, Manifest]:
    spec = job["spec"]
    ray = spec["rayClusterSpec"]
    templates = {
        "submitter": spec["submitterPodTemplate"],
        "head": ray["headGroupSpec"]["template"],
    }
    for group in ray["workerGroupSpecs"]:
        templates[f"worker {group['groupName']}"] = group["template"]
    return templates


def containers(job: Manifest) -> Iterator[Manifest]:
    for template in pod_templates(job).values():
        yield from template["spec"]["containers"]


def environment(container: Manifest) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container["env"]}


def validate_job(job: Manifest) -> None:
    jsonschema.validate(job, RAYJOB_SCHEMA)
    for template in pod_templates(job).values():
        pod = {"apiVersion": "v1", "kind": "Pod", **template}
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)


def replace(tree: Any, path: str, value: Any) -> None:
    *parents, last = [int(key) if key.isdigit() else key for key in path.split("/")]
    for key in parents:
        tree = tree[key]
    tree[last] = value


def literal_secrets(tree: Any) -> Iterator[str]:
    """Whatever looks like a secret that is written down instead of being referred to."""
    if isinstance(tree, list):
        for item in tree:
            yield from literal_secrets(item)
    elif isinstance(tree, dict):
        if tree.get("kind") == "Secret":
            yield "a Secret with its content"
        pairs = {**tree, tree["name"]: tree.get("value")} if "name" in tree else tree
        for key, value in pairs.items():
            named = re.search(r"(token|password|passwd|secret|credential)s?$", str(key), re.I)
            if named and isinstance(value, str) and value and not value.startswith(("/", "~/")):
                yield f"{key}: {value}"
            yield from literal_secrets(value)
    elif isinstance(tree, str):
        yield from re.findall(r"://[^/\s:@]*:[^/\s@]+@\S*", tree)
        yield from re.findall(r"(?i:token|password)=(?!/|FILE\b)\S+", tree)


def options(command: str) -> set[str]:
    return {name for option in ray_command.commands[command].params for name in option.opts}


def test_the_kubernetes_objects_fit_their_schemas(objects: dict[str, Manifest]) -> None:
    assert objects.keys() == {"ConfigMap", "PersistentVolumeClaim", "RayJob"}
    for kind in ("ConfigMap", "PersistentVolumeClaim"):
        kubernetes_validate.validate(objects[kind], KUBERNETES, strict=True)
    validate_job(objects["RayJob"])


HEAD = "spec/rayClusterSpec/headGroupSpec"
WORKER = "spec/rayClusterSpec/workerGroupSpecs/0"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("kind", "RayCluster"),
        ("spec/submissionMode", "DriverMode"),
        ("spec/shutDownAfterJobFinishes", True),
        ("spec/backoffLimit", "2"),
        ("spec/rayClusterSpec/authOptions/mode", "password"),
        (f"{HEAD}/rayStartParams/num-cpus", 0),
        (f"{HEAD}/template/spec/containers/0/volumeMounts/0/path", "/app"),
        (f"{WORKER}/replicas", -1),
        (f"{WORKER}/template/spec/containers/0/securityContext/runAsNonroot", True),
        ("spec/submitterPodTemplate/spec/containers/0/env", {"RAY_AUTH_MODE": "token"}),
    ],
)
def test_a_broken_job_does_not_fit(objects: dict[str, Manifest], path: str, value: Any) -> None:
    job = objects["RayJob"]
    validate_job(job)
    replace(job, path, value)
    with pytest.raises(INVALID):
        validate_job(job)


def test_a_broken_claim_does_not_fit(objects: dict[str, Manifest]) -> None:
    claim = objects["PersistentVolumeClaim"]
    replace(claim, "spec/accessModes", "ReadWriteMany")
    with pytest.raises(INVALID):
        kubernetes_validate.validate(claim, KUBERNETES, strict=True)


def test_ray_up_takes_its_cluster_file(cluster: Manifest) -> None:
    prepared = prepare_config(cluster)
    validate_config(prepared)
    assert prepared["max_workers"] == len(cluster["provider"]["worker_ips"])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("head_start_command", ["ray start --head"]),
        ("provider/type", 1),
        ("auth/ssh_password", "x"),
        ("file_mounts", ["~/.ray/auth_token"]),
        ("worker_start_ray_commands", "ray start"),
    ],
)
def test_a_broken_cluster_file_is_refused(cluster: Manifest, path: str, value: Any) -> None:
    prepared = prepare_config(cluster)
    validate_config(prepared)
    replace(prepared, path, value)
    with pytest.raises(jsonschema.ValidationError):
        validate_config(prepared)


@pytest.mark.parametrize("manifest", [KUBERAY, RAY_UP], ids=lambda path: path.name)
def test_no_manifest_holds_a_secret(manifest: Path) -> None:
    assert not list(literal_secrets(list(yaml.safe_load_all(manifest.read_text()))))
    assert not list(literal_secrets(manifest.read_text()))


@pytest.mark.parametrize(
    "leak",
    [
        {"env": [{"name": "RAY_AUTH_TOKEN", "value": "0f3a"}]},
        {"env": [{"name": "URL", "value": "postgresql://user:word@host/database"}]},
        {"kind": "Secret", "stringData": {"x": "y"}},
        {"auth": {"ssh_password": "word"}},
        {"head_start_ray_commands": ["RAY_AUTH_TOKEN=0f3a ray start --head"]},
    ],
    ids=str,
)
def test_a_secret_would_be_found(leak: Manifest) -> None:
    assert list(literal_secrets([leak]))


def test_the_search_that_the_job_runs_is_one(objects: dict[str, Manifest], tmp_path: Path) -> None:
    job = objects["RayJob"]
    program, command, config = shlex.split(job["spec"]["entrypoint"])
    assert program == "unet-search"
    assert command in get_command(app).commands
    folder, name = Path(config).parent, Path(config).name
    (tmp_path / name).write_text(objects["ConfigMap"]["data"][name])
    study = load_config(tmp_path / name)
    assert study.build_space().dimensions

    templates = pod_templates(job)
    mounts = {
        pod: {
            mount["mountPath"] for mount in templates[pod]["spec"]["containers"][0]["volumeMounts"]
        }
        for pod in templates
    }
    assert str(folder) in mounts["head"]
    # Trials read and write these paths on every node.
    for pod in ("head", "worker gpu"):
        assert str(study.study.runs) in mounts[pod]
        assert str(study.data.raw.parent) in mounts[pod]
    limits = templates["worker gpu"]["spec"]["containers"][0]["resources"]["limits"]
    assert int(limits["cpu"]) >= study.workers.cpus_per_trial
    assert limits["nvidia.com/gpu"] >= study.workers.gpus_per_trial


def test_the_job_has_the_locked_ray(objects: dict[str, Manifest]) -> None:
    assert objects["RayJob"]["spec"]["rayClusterSpec"]["rayVersion"] == version("ray")


def test_the_head_trains_nothing(objects: dict[str, Manifest], cluster: Manifest) -> None:
    ray = objects["RayJob"]["spec"]["rayClusterSpec"]
    assert ray["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0", "num-gpus": "0"}
    assert {"--num-cpus=0", "--num-gpus=0"} <= set(cluster["head_start_ray_commands"][-1].split())


def test_every_container_is_of_the_image_and_contained(objects: dict[str, Manifest]) -> None:
    for template in pod_templates(objects["RayJob"]).values():
        user = template["spec"]["securityContext"]
        assert user["runAsNonRoot"] is True
        assert user["runAsUser"] == 1000
        assert template["spec"]["automountServiceAccountToken"] is False
    for container in containers(objects["RayJob"]):
        assert container["image"] == "unet-search:gpu"
        own = container["securityContext"]
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert own["allowPrivilegeEscalation"] is False
        assert own["readOnlyRootFilesystem"] is True


def test_secrets_are_where_the_environment_says(objects: dict[str, Manifest]) -> None:
    job = objects["RayJob"]
    token = job["spec"]["rayClusterSpec"]["authOptions"]["secretName"]
    for pod, template in pod_templates(job).items():
        (container,) = template["spec"]["containers"]
        values = environment(container)
        secrets = {
            volume["name"]: volume["secret"]["secretName"]
            for volume in template["spec"]["volumes"]
            if "secret" in volume
        }
        mounted = {
            mount["mountPath"]: secrets[mount["name"]]
            for mount in container["volumeMounts"]
            if mount["name"] in secrets
        }
        assert values["RAY_AUTH_MODE"] == "token"
        assert values["RAY_AUTH_TOKEN"] == ""
        # KubeRay itself reads the token under this key.
        folder, _, key = values["RAY_AUTH_TOKEN_PATH"].rpartition("/")
        assert (mounted.pop(folder), key) == (token, "auth_token")
        if pod == "head":
            password = Path(values["UNET_SEARCH_DATABASE_PASSWORD_FILE"])
            assert mounted.pop(str(password.parent)) == "unet-search-database"
        assert not mounted, "a pod holds a secret that it has no use for"


def test_every_mount_has_its_volume(objects: dict[str, Manifest]) -> None:
    for template in pod_templates(objects["RayJob"]).values():
        volumes = [volume["name"] for volume in template["spec"]["volumes"]]
        (container,) = template["spec"]["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
        assert len(volumes) == len(set(volumes))
    assert "ReadWriteMany" in objects["PersistentVolumeClaim"]["spec"]["accessModes"]


def test_ray_has_the_commands_and_options(objects: dict[str, Manifest], cluster: Manifest) -> None:
    ray = objects["RayJob"]["spec"]["rayClusterSpec"]
    for group in (ray["headGroupSpec"], *ray["workerGroupSpecs"]):
        assert {f"--{name}" for name in group["rayStartParams"]} <= options("start")

    lines = cluster["head_start_ray_commands"] + cluster["worker_start_ray_commands"]
    called = [
        shlex.split(match) for line in lines for match in re.findall(r"/bin/ray ([^;]*)", line)
    ]
    assert [command for command, *_ in called] == ["stop", "start", "stop", "start"]
    for command, *given in called:
        assert {option.partition("=")[0] for option in given} <= options(command)
    header = re.findall(r"^#.*?\bray ([a-z-]+) (?:--|deploy/)", RAY_UP.read_text(), re.M)
    assert {"up", "down", "attach"} <= set(header) <= ray_command.commands.keys()


def test_every_node_started_by_ray_up_asks_for_the_token(cluster: Manifest) -> None:
    assert cluster["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    for commands in (cluster["head_start_ray_commands"], cluster["worker_start_ray_commands"]):
        assert "RAY_AUTH_MODE=token " in commands[-1]
