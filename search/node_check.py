"""Whether every node of a Ray cluster can run trials: versions, data and the shared folder."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search.errors import first_line
from search.provenance import describe_software
from trainer.earlier_model import EarlierModel
from trainer.errors import InputError
from trainer.volume import Volume

_ANSWER_SECONDS = 120.0


@dataclass(frozen=True)
class NodeFacts:
    """What a node says of itself.

    Attributes:
        software: Versions of what a result depends on.
        data_hash: Of all volumes as a worker there gets them.
        wrote: Whether it found the folder, and wrote its own file beside the one it was to find.
        unreadable: Why it cannot read the model to go on from, where it cannot.
    """

    software: Mapping[str, str]
    data_hash: str
    wrote: bool
    unreadable: str | None = None


def check_nodes(
    volumes: Sequence[Volume], folder: Path, earlier: EarlierModel | None = None
) -> list[dict[str, Any]]:
    """Asks every node that trials can run on, of the cluster that this process has joined.

    Args:
        volumes: The study's data.
        folder: That the workers write their checkpoints to; the same place on every node.
        earlier: The model that trials go on from; the same place on every node.

    Returns:
        Of each node its address, CPUs and GPUs.

    Raises:
        InputError: A node cannot run trials; one line says which, and why.
    """
    nodes = [node for node in ray.nodes() if node["Alive"] and _trains(node["Resources"])]
    folder.mkdir(parents=True, exist_ok=True)
    # A name that no other folder of the same path can hold by chance.
    mark = folder.absolute() / f".shared-{secrets.token_hex(8)}"
    mark.touch()
    try:
        shared, wanted = ray.put(tuple(volumes)), _hash(volumes)
        asked = [_ask(node["NodeID"], shared, mark, earlier) for node in nodes]
        for node, answer in zip(nodes, asked, strict=True):
            _check(node["NodeManagerAddress"], _answer(node, answer), wanted, folder)
            if not _answered(mark, node["NodeID"]).exists():
                raise _not_shared(node["NodeManagerAddress"], folder)
    finally:
        for path in folder.glob(f"{mark.name}*"):
            path.unlink(missing_ok=True)
    return [
        {
            "address": node["NodeManagerAddress"],
            "cpus": node["Resources"].get("CPU", 0.0),
            "gpus": node["Resources"].get("GPU", 0.0),
        }
        for node in nodes
    ]


def _trains(resources: Mapping[str, float]) -> bool:
    """A head or a coordinator's host may offer nothing, and need not have what workers need."""
    return bool(resources.get("CPU") or resources.get("GPU"))


def _ask(node: str, volumes: Any, mark: Path, earlier: EarlierModel | None) -> Any:
    where = NodeAffinitySchedulingStrategy(node, soft=False)
    task = ray.remote(_examine).options(num_cpus=0, max_retries=0, scheduling_strategy=where)
    return task.remote(volumes, mark, node, earlier)


def _examine(
    volumes: Sequence[Volume], mark: Path, node: str, earlier: EarlierModel | None
) -> NodeFacts:
    wrote = mark.exists()
    if wrote:
        try:
            _answered(mark, node).touch()
        except OSError:
            wrote = False
    unreadable = None
    if earlier is not None:
        try:
            earlier.check()
        except InputError as error:
            unreadable = str(error)
    return NodeFacts(describe_software(), _hash(volumes), wrote, unreadable)


def _hash(volumes: Sequence[Volume]) -> str:
    """Of all volumes in their order."""
    together = "".join(volume.sha256 for volume in volumes)
    return hashlib.sha256(together.encode()).hexdigest()


def _answered(mark: Path, node: str) -> Path:
    return mark.with_name(f"{mark.name}-{node}")


def _answer(node: Mapping[str, Any], answer: Any) -> NodeFacts:
    address = node["NodeManagerAddress"]
    try:
        facts: NodeFacts = ray.get(answer, timeout=_ANSWER_SECONDS)
    except GetTimeoutError:
        raise InputError(
            f"node {address}: expected an answer within {_ANSWER_SECONDS:.0f} s, got none; "
            "see its Ray logs, or take it out of the cluster"
        ) from None
    except (RayError, ImportError) as error:
        raise InputError(
            f"node {address}: expected unet-search to be installed there as it is here, got: "
            f"{first_line(error)}; install it from the same lock file"
        ) from None
    return facts


def _check(address: str, facts: NodeFacts, data_hash: str, folder: Path) -> None:
    here, there = _comparable(describe_software()), _comparable(facts.software)
    for package in sorted(here.keys() | there.keys()):
        wanted, found = here.get(package), there.get(package)
        if wanted != found:
            raise InputError(
                f"node {address}: expected {package} {wanted or 'not installed'} as here, got "
                f"{found or 'none'}; install both from the same lock file"
            )
    if facts.data_hash != data_hash:
        raise InputError(
            f"node {address}: expected the data with hash {data_hash[:12]}, got "
            f"{facts.data_hash[:12]}: its memory or its network is at fault"
        )
    if not facts.wrote:
        raise _not_shared(address, folder)
    if facts.unreadable is not None:
        raise InputError(f"node {address}: {facts.unreadable}")


def _comparable(software: Mapping[str, str]) -> dict[str, str]:
    """One name for TensorFlow with and without CUDA; a revision is known in a clone only."""
    renamed = {"tensorflow-cpu": "tensorflow"}
    return {renamed.get(name, name): it for name, it in software.items() if name != "git"}


def _not_shared(address: str, folder: Path) -> InputError:
    return InputError(
        f"node {address}: expected study.runs to be one folder that all nodes can write, and "
        f"{folder.absolute()} is not the same folder there; mount it on every node at this path"
    )
