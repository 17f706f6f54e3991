from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from storage.checkpoints import Checkpoint, CheckpointStore
from storage.errors import CheckpointError


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(tmp_path / "checkpoints")


def make(epoch: int, **facts: Any) -> Checkpoint:
    weights = np.arange(2000, dtype=np.float32) + epoch
    return Checkpoint(epoch, {"weights/conv_1/kernel": weights}, facts)


def load_epoch(store: CheckpointStore, trial: int) -> int | None:
    checkpoint = store.load(trial)
    return None if checkpoint is None else checkpoint.epoch


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def run_python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    root = Path(__file__).parents[2]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=root)


def test_what_is_saved_is_loaded(store: CheckpointStore) -> None:
    arrays: dict[str, np.ndarray] = {
        "weights/conv_1/kernel": np.ones((3, 3, 1, 16), np.float32),
        "optimizer/iterations": np.array(7, np.int64),
        "random_state": np.array([1, 2], np.uint32),
        "empty": np.zeros((0, 4), np.float64),
        "file": np.array([True]),
    }
    facts = {"state": {"pcg64": 2**127}, "best": None, "rates": [1e-4, float("inf")]}
    path = store.save(12, Checkpoint(3, arrays, facts))
    assert path.parts[-2:] == ("00012", "epoch-3.npz")
    loaded = store.load(12)
    assert loaded is not None
    assert (loaded.epoch, loaded.facts) == (3, facts)
    assert list(loaded.arrays) == list(arrays)
    for name, array in arrays.items():
        assert loaded.arrays[name].dtype == array.dtype
        assert loaded.arrays[name].shape == array.shape
        np.testing.assert_array_equal(loaded.arrays[name], array)


@settings(deadline=None, max_examples=50)
@given(
    st.dictionaries(
        st.text(),
        hnp.arrays(
            st.sampled_from([np.float16, np.float32, np.int64, np.uint8, np.bool_]),
            hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3),
        ),
        max_size=4,
    )
)
def test_any_name_and_any_shape_survive(
    tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, np.ndarray]
) -> None:
    store = CheckpointStore(tmp_path_factory.mktemp("any"))
    store.save(0, Checkpoint(1, arrays))
    loaded = store.load(0)
    assert loaded is not None
    assert loaded.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded.arrays[name], array, strict=True)


def test_two_newest_epochs_are_kept(store: CheckpointStore) -> None:
    for epoch in (8, 9, 10, 11):
        store.save(1, make(epoch))
    assert store.epochs(1) == [10, 11]
    assert load_epoch(store, 1) == 11


def test_epochs_after_the_one_saved_are_of_another_past(store: CheckpointStore) -> None:
    for epoch in (3, 4):
        store.save(1, make(epoch))
    store._path(1, 4).write_bytes(b"damaged")
    store._path(1, 5).write_bytes(b"damaged")
    store.save(1, make(4))
    assert store.epochs(1) == [3, 4]
    assert load_epoch(store, 1) == 4


def test_nothing_is_loaded_where_nothing_was_saved(store: CheckpointStore) -> None:
    assert store.load(5) is None
    assert store.epochs(5) == []
    assert store.trials() == []
    store.delete(5)


def damage_truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def damage_empty(path: Path) -> None:
    path.write_bytes(b"")


def damage_flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def damage_foreign(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, something=np.zeros(3))


def damage_pickle(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, header=np.array([{"epoch": 2}], dtype=object))


@pytest.mark.parametrize(
    "damage",
    [damage_truncate, damage_empty, damage_flip, damage_foreign, damage_pickle],
)
def test_damaged_file_is_passed_over_for_the_one_before(
    store: CheckpointStore, damage: Any
) -> None:
    for epoch in (1, 2):
        store.save(1, make(epoch))
    damage(store._path(1, 2))
    assert load_epoch(store, 1) == 1


def test_file_under_the_name_of_another_epoch_is_passed_over(store: CheckpointStore) -> None:
    path = store.save(1, make(1))
    store.save(1, make(2))
    path.with_name("epoch-3.npz").write_bytes(path.read_bytes())
    assert load_epoch(store, 1) == 2


def test_damaged_shape_is_no_shorter_array(store: CheckpointStore) -> None:
    path = store.save(1, Checkpoint(1, {"a": np.zeros(20_000)}))
    content = path.read_bytes()
    assert content.count(b"(20000,)") == 1
    path.write_bytes(content.replace(b"(20000,)", b"(10000,)"))
    assert store.load(1) is None


def test_no_single_flipped_bit_goes_unnoticed_or_raises(store: CheckpointStore) -> None:
    path = store.save(1, Checkpoint(1, {"a": np.arange(3)}, {"b": 1}))
    whole = path.read_bytes()
    for index in range(0, len(whole), 5):
        content = bytearray(whole)
        content[index] ^= 1 << index % 8
        path.write_bytes(content)
        loaded = store.load(1)
        assert loaded is None or loaded.arrays["a"].tolist() == [0, 1, 2]


def test_process_killed_before_the_rename_leaves_the_checkpoint_before(
    store: CheckpointStore,
) -> None:
    store.save(1, make(1))
    folder = store._folder / "00001"
    killed = run_python(
        """
import os, pathlib, signal, sys
import numpy as np
from storage.checkpoints import Checkpoint, CheckpointStore
pathlib.Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
CheckpointStore(pathlib.Path(sys.argv[1])).save(1, Checkpoint(2, {"a": np.zeros(9)}))
""",
        store._folder,
    )
    assert killed.returncode == -signal.SIGKILL
    assert len(files(folder)) == 2
    assert store.epochs(1) == [1]
    assert load_epoch(store, 1) == 1
    store.save(1, make(2))
    assert files(folder) == ["epoch-1.npz", "epoch-2.npz"]


def test_full_disk_is_named_and_leaves_no_file(store: CheckpointStore) -> None:
    store.save(1, make(1))
    limited = run_python(
        """
import pathlib, resource, sys
import numpy as np
from storage.checkpoints import Checkpoint, CheckpointStore
from storage.errors import CheckpointError
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    CheckpointStore(pathlib.Path(sys.argv[1])).save(1, Checkpoint(2, {"a": np.zeros(90_000)}))
except CheckpointError as error:
    sys.exit(str(error))
""",
        store._folder,
    )
    assert limited.stderr.strip().count("\n") == 0
    assert "epoch-2.npz could not be written (File too large)" in limited.stderr
    assert files(store._folder) == ["epoch-1.npz"]


def test_folder_replaced_by_a_file_is_named(store: CheckpointStore) -> None:
    store._folder.parent.mkdir(exist_ok=True)
    store._folder.write_text("in the way")
    with pytest.raises(CheckpointError, match=r"epoch-1\.npz could not be written \(.*\)"):
        store.save(1, make(1))
    with pytest.raises(CheckpointError, match="could not be deleted"):
        store.delete(1)
    assert store.load(1) is None
    assert store._folder.read_text() == "in the way"


@pytest.mark.parametrize("array", [np.array([None]), np.zeros(2, np.dtype("V2"))])
def test_array_that_would_not_come_back_is_refused(
    store: CheckpointStore, array: np.ndarray
) -> None:
    with pytest.raises(CheckpointError, match="cannot hold the array 'weights/a'"):
        store.save(1, Checkpoint(1, {"weights/a": array}))
    assert files(store._folder) == []


def test_facts_that_are_no_json_leave_no_file(store: CheckpointStore) -> None:
    with pytest.raises(TypeError):
        store.save(1, make(1, bad=object()))
    assert files(store._folder) == []


def test_trial_inherits_the_newest_readable_checkpoint(store: CheckpointStore) -> None:
    for epoch in (4, 5):
        store.save(1, make(epoch))
    damage_truncate(store._path(1, 5))
    assert store.inherit(2, 1) == 4
    assert store.epochs(2) == [4]
    assert load_epoch(store, 2) == 4


def test_heir_never_changes_what_it_inherited_from(store: CheckpointStore) -> None:
    path = store.save(1, make(4))
    before = path.read_bytes()
    assert store.inherit(2, 1) == 4
    assert store.inherit(2, 1) == 4
    for epoch in (4, 5, 6):
        store.save(2, make(epoch, heir=True))
    store.delete(2)
    assert path.read_bytes() == before
    assert files(store._folder) == ["epoch-4.npz"]


def test_heir_keeps_what_it_inherited_from_a_deleted_trial(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("this file system knows no links")

    store.save(1, make(4))
    store.inherit(2, 1)
    monkeypatch.setattr(Path, "hardlink_to", refuse)
    store.inherit(3, 1)
    store.delete(1)
    assert [load_epoch(store, trial) for trial in (1, 2, 3)] == [None, 4, 4]
    assert files(store._folder) == ["epoch-4.npz", "epoch-4.npz"]


def test_nothing_is_inherited_from_a_trial_without_a_checkpoint(store: CheckpointStore) -> None:
    assert store.inherit(2, 1) is None
    assert store.trials() == []


def test_trials_are_those_with_a_folder(store: CheckpointStore, tmp_path: Path) -> None:
    for trial in (100_000, 7):
        store.save(trial, make(1))
    (store._folder / "notes").mkdir()
    assert store.trials() == [7, 100_000]
    store.delete(7)
    assert store.trials() == [100_000]


def test_deleting_does_not_wait_for_who_still_writes(store: CheckpointStore) -> None:
    store.save(3, make(1))
    rmtree, late = shutil.rmtree, []

    def busy(path: Path, **named: Any) -> None:
        late.append(store.save(3, make(2)))
        if len(late) > 1:
            rmtree(path, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shutil.rmtree", busy)
        store.delete(3)
    assert store.epochs(3) == [2]
    store.tidy()
    store.delete(3)
    assert files(late[0].parents[1]) == []
