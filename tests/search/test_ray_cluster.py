"""What a Ray cluster has room for, as its nodes and its head come and go."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import AuthenticationError

from search import ray_cluster
from search.errors import ClusterLost
from search.ray_cluster import ClusterView
from trainer.errors import InputError

HEAD, OWN = "head:6379", "own:7000"


def _node(name: str, *, alive: bool = True, **resources: float) -> dict[str, Any]:
    address = {"NodeManagerAddress": name, "NodeManagerPort": 7000}
    return {"NodeID": name, "Alive": alive, "Resources": resources, **address}


class Cluster:
    """A cluster that a test makes up."""

    def __init__(self) -> None:
        self.now = 100.0
        self.asked = 0
        self.silent: set[str] = set()
        self.nodes = [
            _node("own", CPU=0.0),
            _node("a", CPU=3.0, GPU=1.0),
            _node("b", CPU=3.0, GPU=1.0),
            _node("gone", alive=False, CPU=3.0),
        ]

    def list_nodes(self) -> list[dict[str, Any]]:
        self.asked += 1
        return self.nodes


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster()
    context = SimpleNamespace(get_node_id=lambda: "own", gcs_address=HEAD)
    monkeypatch.setattr(ray_cluster.ray, "get_runtime_context", lambda: context)
    monkeypatch.setattr(ray_cluster.ray, "nodes", cluster.list_nodes)
    monkeypatch.setattr(ray_cluster, "_listens", lambda address: address not in cluster.silent)
    return cluster


@pytest.fixture
def view(cluster: Cluster) -> ClusterView:
    view = ClusterView(clock=lambda: cluster.now)
    cluster.asked = 0
    return view


@pytest.mark.parametrize(("cpus", "gpus", "room"), [(2, 0, 2), (1, 1 / 3, 6), (4, 0, 0)])
def test_a_worker_never_spans_two_nodes(
    view: ClusterView, cpus: float, gpus: float, room: int
) -> None:
    assert view.room(cpus, gpus) == room


def test_the_cluster_is_asked_about_once_a_second(view: ClusterView, cluster: Cluster) -> None:
    for _ in range(100):
        view.room(1, 0)
        view.check()
        cluster.now += 0.0199
    assert cluster.asked == 2
    cluster.nodes.append(_node("c", CPU=2.0))
    cluster.now += 1
    assert view.room(1, 0) == 8


def test_a_suspected_node_has_no_room_for_a_while(view: ClusterView, cluster: Cluster) -> None:
    assert view.has("a")
    view.suspect("a")
    assert not view.has("a")
    assert view.room(1, 0) == 3
    cluster.now += 40
    assert view.room(1, 0) == 6
    assert view.has("a")


def test_a_head_that_is_silent_for_a_moment_costs_nothing(
    view: ClusterView, cluster: Cluster
) -> None:
    view.check()
    cluster.silent.add(HEAD)
    cluster.now += 2
    view.check()
    assert view.room(1, 0) == 0
    cluster.silent.clear()
    cluster.now += 600
    view.check()
    assert view.room(1, 0) == 6


@pytest.mark.parametrize("silent", [HEAD, OWN])
@pytest.mark.parametrize(("address", "then"), [("", "run"), (HEAD, "start it again, then")])
def test_a_head_or_a_node_that_stays_silent_is_lost(
    view: ClusterView,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    then: str,
    silent: str,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    view.check()
    cluster.silent.add(silent)
    cluster.now += 2
    view.check()
    cluster.now += 6
    with pytest.raises(ClusterLost, match=f"Ray cluster at head:6379 .* any more; {then}"):
        view.check()
    assert cluster.asked == 1


def test_a_cluster_without_this_host_is_lost(view: ClusterView, cluster: Cluster) -> None:
    view.check()
    del cluster.nodes[0]
    cluster.now += 2
    with pytest.raises(ClusterLost, match="this host is no node"):
        view.check()


@pytest.mark.parametrize(
    ("address", "said"),
    [(None, "a Ray of its own to start here, got: The node timed out"), ("auto", "RAY_ADDRESS")],
)
def test_a_ray_that_does_not_start_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, address: str | None, said: str
) -> None:
    def init(**options: Any) -> None:
        # Ray's own kind of error for it.
        raise Exception("The node timed out during startup.\nIts logs say more.")

    monkeypatch.setattr(ray_cluster.ray, "init", init)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if address:
        monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(InputError, match=said) as caught, ray_cluster.ray_cluster():
        pass
    assert "\n" not in str(caught.value)


def test_a_token_that_the_cluster_does_not_know_is_told_as_such(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def init(**options: Any) -> None:
        raise AuthenticationError("no token was found")

    monkeypatch.setattr(ray_cluster.ray, "init", init)
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    with (
        pytest.raises(InputError, match="RAY_AUTH_TOKEN_PATH: expected"),
        ray_cluster.ray_cluster(),
    ):
        pass


def test_an_address_of_ipv6_is_asked_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr(
        ray_cluster.socket,
        "create_connection",
        lambda address, timeout: asked.append(address) or SimpleNamespace(close=lambda: None),
    )
    ray_cluster._check_answers("[::1]:6379")
    assert ray_cluster._listens("[::1]:6379")
    assert asked == [("::1", 6379)] * 2
