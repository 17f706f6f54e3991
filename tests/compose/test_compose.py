"""The real stack on a real engine: who gets in, what survives a kill, and how it ends.

The tests share one search and come in the order of its life.
"""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import time
from typing import Any
from urllib.request import urlopen

import pytest
from compose_stack import CONFIG, PROJECT, SERVICES, Stack, docker

_IMAGE = "unet-search:test"
_CONNECT = (
    "import socket, sys\n"
    "for address in sys.argv[1:]:\n"
    "    host, _, port = address.rpartition(':')\n"
    "    try:\n"
    "        socket.create_connection((host, int(port)), timeout=10).close()\n"
    "        print('reached', address)\n"
    "    except OSError:\n"
    "        print('nothing at', address)\n"
)


def test_every_worker_trains(stack: Stack) -> None:
    workers = stack.containers("worker")
    assert len(workers) == 2
    stack.wait_until(lambda: all("ray::TrialRunner" in docker("top", name) for name in workers))


# Who gets in


def test_only_the_two_dashboards_are_on_the_host_and_only_on_its_loopback(stack: Stack) -> None:
    published = {
        (service, port["HostIp"], port["HostPort"])
        for service in (*SERVICES, "prepare")
        for name in stack.containers(service)
        for ports in stack.inspect(name)["NetworkSettings"]["Ports"].values()
        for port in ports or ()
    }
    dashboard, ray = map(str, stack.ports)
    assert published == {
        ("dashboard", "127.0.0.1", dashboard),
        ("ray-head", "127.0.0.1", ray),
    }
    sockets = subprocess.run(["ss", "-ltn"], capture_output=True, text=True, check=True).stdout
    listening = re.findall(rf"(\S+):(?:{dashboard}|{ray})\s", sockets)
    assert listening == ["127.0.0.1", "127.0.0.1"]


def test_another_network_reaches_nothing(stack: Stack) -> None:
    doors = [
        f"{stack.address('postgres', 'database')}:5432",
        f"{stack.address('ray-head', 'cluster')}:6379",
        f"{stack.address('ray-head', 'cluster')}:8265",
        f"{stack.address('ray-head', 'front')}:6379",
        f"{stack.address('ray-head', 'front')}:8265",
        f"{stack.address('dashboard', 'front')}:8080",
    ]
    connect = ("python3", "-c", _CONNECT)
    outside = docker("run", "--rm", _IMAGE, *connect, *doors)
    assert outside.splitlines() == [f"nothing at {door}" for door in doors]
    # The same doors do open from within: it is not the question that is wrong.
    inside = docker("run", "--rm", "--network", f"{PROJECT}_cluster", _IMAGE, *connect, *doors[1:2])
    assert inside == f"reached {doors[1]}"


def test_a_wrong_password_and_none_are_refused(stack: Stack) -> None:
    connect = (
        "import psycopg2, sys\n"
        "try:\n"
        "    psycopg2.connect(host='postgres', user='unet-search', password=sys.argv[1])\n"
        "    print('let in')\n"
        "except psycopg2.OperationalError as error:\n"
        "    print(str(error).strip().splitlines()[-1])\n"
    )
    network = ("--network", f"{PROJECT}_database")
    right, _ = stack.secrets()
    said = [
        docker("run", "--rm", *network, _IMAGE, "python3", "-c", connect, password)
        for password in ("postgres", "", right)
    ]
    assert "password authentication failed" in said[0]
    assert "no password supplied" in said[1]
    assert said[2] == "let in"


@pytest.mark.parametrize("token", ["", "0" * 64])
def test_a_wrong_token_and_none_are_refused(stack: Stack, token: str) -> None:
    mode = ["-e", "RAY_AUTH_MODE=token", "-e", f"RAY_AUTH_TOKEN={token}"] if token else []
    command = ["ray", "status", "--address", "ray-head:6379"]
    network = ["--network", f"{PROJECT}_cluster"]
    said = docker("run", "--rm", *network, *mode, _IMAGE, *command, check=False)
    assert "Node status" not in said
    assert re.search(r"(?i)authenticat|token", said), said
    assert "Node status" in stack.execute("ray-head", "ray", "status", "--address", "ray-head:6379")


def _processes_of_root(container: str) -> set[str]:
    """Ids of the processes of a running container whose user is root."""
    _, *told = docker("top", container, "-eo", "uid,pid").splitlines()
    processes = [line.split() for line in told]
    assert processes
    return {process for user, process in processes if user == "0"}


def test_no_process_is_roots_and_no_root_file_system_can_be_written(stack: Stack) -> None:
    for service in SERVICES:
        for name in stack.containers(service):
            # A process that a health check starts is root's for the instant before it takes the
            # container's user; one that stays root's is seen both times.
            roots = _processes_of_root(name)
            if roots:
                time.sleep(2)
            assert not roots & _processes_of_root(name), docker("top", name)
            host = stack.inspect(name)["HostConfig"]
            assert host["ReadonlyRootfs"]
            assert host["CapDrop"] == ["ALL"]
            assert not host["Privileged"]
    (prepare,) = stack.containers("prepare")
    assert stack.inspect(prepare)["State"]["ExitCode"] == 0


def test_no_secret_is_told(stack: Stack) -> None:
    secrets = stack.secrets()
    assert all(len(secret) >= 32 for secret in secrets)
    assert len(set(secrets)) == 2
    told = [docker("inspect", name) for name in stack.containers()]
    told += [docker("top", name) for service in SERVICES for name in stack.containers(service)]
    told += [docker("image", "inspect", _IMAGE), docker("history", "--no-trunc", _IMAGE)]
    told += [stack.compose("logs", "--no-color")]
    for text in told:
        assert not any(secret in text for secret in secrets)


def test_nothing_that_builds_or_installs_is_left_in_the_image() -> None:
    tools = ["pip", "pip3", "gcc", "cc", "make", "git", "curl"]
    find = "import shutil, sys; print([t for t in sys.argv[1:] if shutil.which(t)])"
    assert docker("run", "--rm", _IMAGE, "python3", "-c", find, *tools) == "[]"
    imports = (
        "import importlib.util as u; print([m for m in ('pip', 'setuptools') if u.find_spec(m)])"
    )
    assert docker("run", "--rm", _IMAGE, "python3", "-c", imports) == "[]"


# What survives


@pytest.mark.parametrize("service", ["worker", "postgres", "ray-head", "search"])
def test_a_kill_is_survived(stack: Stack, service: str) -> None:
    before = stack.epochs()
    docker("kill", stack.containers(service)[0])
    stack.up()
    stack.wait_until(lambda: stack.epochs() >= before + 3)
    assert stack.status()["counts"]["RUNNING"] <= 2


def test_a_crash_is_survived_without_anybody(stack: Stack) -> None:
    """By the restart policies alone: nobody gives a command."""
    before = stack.epochs()
    (search,) = stack.containers("search")
    # From inside, as a crash would be: what `docker kill` ends is not started again.
    # The container ends with it, and may end this too: the count says whether it was killed.
    docker("exec", search, "python3", "-c", _KILL, "unet-search", check=False)
    stack.wait_until(lambda: stack.inspect(search)["RestartCount"] >= 1)
    stack.wait_until(lambda: stack.epochs() >= before + 2)


_KILL = (
    "import os, signal, sys, psutil\n"
    "for process in psutil.process_iter(['cmdline']):\n"
    "    line = process.info['cmdline'] or []\n"
    "    if len(line) > 2 and line[1].endswith('/' + sys.argv[1]) and line[2] == 'run':\n"
    "        process.send_signal(signal.SIGKILL)\n"
    "        break\n"
)


def test_everything_is_still_there_after_down_and_up(stack: Stack) -> None:
    before = stack.status()
    stack.compose("down")
    assert stack.containers() == []
    stack.up()
    stack.wait_until(lambda: bool(stack.status()))
    after = {trial["number"]: trial for trial in stack.status()["trials"]}
    for trial in before["trials"]:
        if trial["state"] in ("COMPLETE", "PRUNED"):
            assert after[trial["number"]] == trial


# How it ends


def test_a_stop_lets_the_epochs_under_way_finish(stack: Stack) -> None:
    stack.wait_until(lambda: stack.status().get("counts", {}).get("RUNNING") == 2)
    stack.compose("stop", "search")
    (search,) = stack.containers("search")
    assert stack.inspect(search)["State"]["ExitCode"] == 130
    status = stack.status()
    assert status["counts"]["RUNNING"] == 0
    # An epoch that finishes may be a trial's last one, or the last before a pause.
    assert status["counts"]["WAITING"] <= 2
    links = {trial["number"]: trial["user_attrs"] for trial in status["trials"]}
    stopped = {number for number, each in links.items() if each.get("goes_on")}
    assert stopped == {each["retried_from"] for each in links.values() if "retried_from" in each}


def test_the_search_ends_with_its_model_and_nothing_lost(stack: Stack) -> None:
    stack.set_trials(stack.status()["budget"]["trials_begun"] + 2)
    stack.up()
    (search,) = stack.containers("search")
    stack.wait_until(lambda: not stack.inspect(search)["State"]["Running"])
    assert stack.inspect(search)["State"]["ExitCode"] == 0
    assert (stack.folder / "runs/stack/model/model.keras").is_file()
    assert {path.stat().st_uid for path in (stack.folder / "runs").rglob("*")} == {1000}
    status = stack.status()
    assert status["counts"]["RUNNING"] == status["counts"]["WAITING"] == 0
    lines = _lines(status["trials"])
    assert len(lines) == status["budget"]["trials"] == status["budget"]["trials_begun"]
    for *before, last in lines:
        for trial, after in itertools.pairwise([*before, last]):
            # A worker that was lost or stopped, or a pause at a rung that a promotion ended.
            retried = "retried_from" in after["user_attrs"]
            assert trial["state"] == ("FAIL" if retried else "PRUNED")
        assert last["state"] in ("COMPLETE", "PRUNED")
        assert (last["epochs"] == 6) >= (last["state"] == "COMPLETE")
        assert len(last["reports"]) == last["epochs"]
        assert int(last["user_attrs"].get("attempt", 0)) <= 2


def _lines(trials: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Each trial that began anew with those that go on from it."""
    lines: dict[int, list[dict[str, Any]]] = {}
    for trial in trials:
        links = trial["user_attrs"]
        before = links.get("retried_from", links.get("promoted_from"))
        lines[trial["number"]] = [*(lines.pop(before) if before is not None else []), trial]
    assert sum(map(len, lines.values())) == len(trials)
    return list(lines.values())


def test_a_search_that_is_done_is_done_again_at_once(stack: Stack) -> None:
    before = stack.status()
    stack.up()
    (search,) = stack.containers("search")
    stack.wait_until(lambda: not stack.inspect(search)["State"]["Running"])
    assert stack.inspect(search)["State"]["ExitCode"] == 0
    assert stack.status() == before


def test_commands_are_given_to_the_running_stack(stack: Stack) -> None:
    assert "model" in stack.execute("dashboard", "unet-search", "best", CONFIG, "--top", "1")
    checked = stack.compose(
        "run", "--rm", "search", "ray-node", "driver", "unet-search", "check", CONFIG
    )
    assert checked.count("same versions, same data, same runs folder") == 2


# What a person sees


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium is installed")
def test_a_browser_shows_study_pruned_trial_and_artifact(stack: Stack) -> None:
    url = f"http://127.0.0.1:{stack.ports[0]}/dashboard"
    stack.wait_until(lambda: "stack" in _page(url))
    pruned = [row for row in stack.status()["trials"] if row["state"] == "PRUNED"]
    number = pruned[0]["number"]
    page = ""

    def shows_its_picture() -> bool:
        # The next page may be drawn less far: what is asserted is of the one that was seen.
        nonlocal page
        page = _page(f"{url}/studies/1/trials?numbers={number}")
        return "section.png" in page

    stack.wait_until(shows_its_picture)
    assert f"Trial {number} " in page
    assert "Pruned" in page
    (picture,) = re.findall(r'alt="section\.png" src="(/artifacts/[0-9a-f/-]+)"', page)
    with urlopen(f"http://127.0.0.1:{stack.ports[0]}{picture}", timeout=30) as answer:
        assert answer.read().startswith(b"\x89PNG")


def _page(url: str) -> str:
    """The page as it stands once its program has drawn it."""
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000"]
    done = subprocess.run(
        ["chromium", *options, "--dump-dom", url],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout
