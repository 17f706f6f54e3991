"""The Ray cluster that trials run on: joining it, and what it has room for."""

from __future__ import annotations

import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray.exceptions import AuthenticationError

from search.errors import ClusterLost, first_line, no_room
from trainer.cores import usable_cores
from trainer.errors import InputError

_CONNECT_SECONDS = 10.0
_LOOK_SECONDS = 1.0
_SILENT_SECONDS = 5.0
_SUSPECT_SECONDS = 30.0


@contextmanager
def ray_cluster(cpus: int | None = None) -> Iterator[None]:
    """Joins the cluster at `RAY_ADDRESS`, or starts a local one that ends with the block.

    Args:
        cpus: Cores of a local Ray; all that this process may use by default.
    """
    # Without this Ray's own usage report would be sent from a user's machine.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # A program started by `uv run` would have its workers started by it again.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    # A worker that asked for no GPU sees none: otherwise all of them would crowd the first one.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")
    address = os.environ.get("RAY_ADDRESS")
    if address:
        _check_answers(address)
    local = (
        {}
        if address
        else {
            "address": "local",
            "num_cpus": cpus or usable_cores(),
            "include_dashboard": False,
        }
    )
    try:
        with _own_signals():
            ray.init(log_to_driver=False, logging_level="ERROR", configure_logging=True, **local)
    except AuthenticationError as error:
        raise InputError(
            f"RAY_AUTH_TOKEN_PATH: expected the file with the Ray cluster's token, got: "
            f"{first_line(error)}; name the file that the cluster was started with"
        ) from error
    except Exception as error:  # Ray raises no other for a node that starts too slowly.
        if not address:
            raise InputError(
                f"workers: expected a Ray of its own to start here, got: {first_line(error)}; "
                "make room for it on the cores, in memory and in /tmp, or set RAY_ADDRESS"
            ) from error
        raise InputError(
            f"RAY_ADDRESS: expected a Ray cluster that this host is a node of, got {address!r}: "
            f"{first_line(error)}; start `ray start --address=...` here, or unset it"
        ) from error
    # What becomes of a lost node would go to stdout, where a result may be read from.
    ray._private.worker.print_to_stdstream = lambda data, ignore_prefix: None
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keeps this program's handlers: Ray puts its own in place, which end a command as if done."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                if handler is not None:  # It was not Python that set it.
                    signal.signal(number, handler)


def check_room(*, cpus: float, gpus: float) -> None:
    """Refuses what a local Ray will never have; a cluster's nodes may be yet to come.

    Raises:
        InputError: A trial is to have more than this machine has.
    """
    if os.environ.get("RAY_ADDRESS") or _room(_living_nodes().values(), cpus, gpus) > 0:
        return
    total = ray.cluster_resources()
    raise no_room(cpus, gpus, machine=(total.get("CPU", 0), total.get("GPU", 0)))


def largest_node_cpus() -> float:
    """Cores of the cluster's largest node: what a trial that runs alone can have."""
    return float(max([1.0, *(node.get("CPU", 0.0) for node in _living_nodes().values())]))


class ClusterView:
    """The cluster's nodes as they were about a second ago."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        context = ray.get_runtime_context()
        self._own_node: str = context.get_node_id()
        self._address: str = context.gcs_address
        self._own_address = _own_address(self._own_node)
        self._nodes: dict[str, _Resources] = {}
        self._rooms: dict[tuple[float, float], int] = {}
        self._suspects: dict[str, float] = {}
        self._look_at = -math.inf
        self._silent_since: float | None = None

    def check(self) -> None:
        """Asks whether the cluster is still there.

        Ray itself ends this process without a word: a minute after its head has gone, and when
        its head has noticed that this host's node has.

        Raises:
            ClusterLost: Its head or this host's node has not answered for some seconds.
        """
        self._look()
        silent = self._silent_since
        if silent is not None and self._clock() - silent >= _SILENT_SECONDS:
            raise ClusterLost(
                f"the Ray cluster at {self._address} does not answer any more; {_then()}"
            )
        if silent is None and self._own_node not in self._nodes:
            raise ClusterLost(f"this host is no node of the Ray cluster any more; {_then()}")

    def room(self, cpus: float, gpus: float) -> int:
        """How many workers fit on the nodes; none while nobody answers."""
        self._look()
        if self._silent_since is not None:
            return 0
        share = (cpus, gpus)
        if share not in self._rooms:
            usable = (self._nodes[node] for node in self._nodes if node not in self._suspects)
            self._rooms[share] = _room(usable, cpus, gpus)
        return self._rooms[share]

    def answers(self) -> bool:
        """Whether it can be talked to at this moment: some of Ray's calls wait for it."""
        return _listens(self._address) and _listens(self._own_address)

    def has(self, node: str | None) -> bool:
        """Whether the node is there, and is not suspected to be gone."""
        self._look()
        return node in self._nodes and node not in self._suspects

    def suspect(self, node: str | None) -> None:
        """Takes a node for gone until the cluster itself has had time to notice."""
        if node is not None and node != self._own_node:
            self._suspects[node] = self._clock()
            self._rooms.clear()

    def _look(self) -> None:
        now = self._clock()
        if now < self._look_at:
            return
        self._rooms.clear()
        if self.answers():
            self._silent_since = None
            self._nodes = _living_nodes()
        elif self._silent_since is None:
            self._silent_since = now
        self._suspects = {
            node: since for node, since in self._suspects.items() if now - since < _SUSPECT_SECONDS
        }
        self._look_at = self._clock() + _LOOK_SECONDS


_Resources = dict[str, float]


def _living_nodes() -> dict[str, _Resources]:
    """Resources of each node, by its id."""
    nodes: list[dict[str, Any]] = ray.nodes()
    return {node["NodeID"]: node["Resources"] for node in nodes if node["Alive"]}


def _own_address(node_id: str) -> str:
    """Where this host's node listens."""
    (own,) = (node for node in ray.nodes() if node["NodeID"] == node_id)
    return f"{own['NodeManagerAddress']}:{own['NodeManagerPort']}"


def _room(nodes: Iterable[_Resources], cpus: float, gpus: float) -> int:
    """How many workers fit on the nodes; one worker never spans two of them."""
    wanted = [(name, share) for name, share in (("CPU", cpus), ("GPU", gpus)) if share > 0]
    return sum(
        # A share such as a third of a GPU is not exact in binary.
        math.floor(min(node.get(name, 0.0) / share for name, share in wanted) + 1e-6)
        for node in nodes
    )


def _check_answers(address: str) -> None:
    """Asks once whether anybody listens: Ray itself would go on asking for many minutes."""
    host, _, port = address.rpartition(":")
    if not host or "/" in address or not port.isdigit():
        return
    try:
        _connect(host, int(port), _CONNECT_SECONDS)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"RAY_ADDRESS: expected a Ray cluster that answers, got {address}: {error}; "
            "start it, or unset RAY_ADDRESS for a local one"
        ) from None


def _then() -> str:
    first = "start it again, then " if os.environ.get("RAY_ADDRESS") else ""
    return f"{first}run the same command to go on"


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        _connect(host, int(port), _LOOK_SECONDS)
    except OSError:
        return False
    return True


def _connect(host: str, port: int, seconds: float) -> None:
    # An address of IPv6 stands in brackets where a port follows.
    socket.create_connection((host.strip("[]"), port), timeout=seconds).close()
