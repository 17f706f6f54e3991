"""A study in its database: made once, and recognised when it is opened again."""

from __future__ import annotations

import json
import secrets
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from search.config import Config
from search.data import StudyData
from search.errors import StudyNotFound
from search.objectives import METRIC, directions
from search.plan import CHANGE, Planned
from search.provenance import describe_software
from search.pruners import build_pruner
from search.samplers import build_sampler
from storage.database import database_from_environment
from storage.lock import StudyLock
from storage.studies import open_existing_storage
from trainer.errors import InputError
from trainer.hyperparameters import Hyperparameters

_IDENTITY = "defined_by"
_BESIDE = ("file", "raw_sha256")
"""Of a volume: what it was before it was resampled, and its fingerprint without the mask."""
_TOKEN = "token"
"""Tells a study from another one of the same name, in another database or made after it."""


def open_study(config: Config, data: StudyData, storage: BaseStorage) -> optuna.Study:
    """Creates the study, or goes on with the one of that name.

    A study that was killed before it was described is taken as a new one.

    Raises:
        InputError: The study of that name has another space, data, length of trials or model to
            begin with, so that its trials could not be compared with new ones; or the space does
            not hold the run of that model.
    """
    # Refused, if it is, before the study is written.
    starts = config.starts(config.build_space().for_voxels(data.voxel_size_nm), data.earlier)
    study = create_study(config, storage)
    begun = _count_begun(study)
    identity = _identity(config, data)
    known = study.user_attrs.get(_IDENTITY)
    if known is not None or begun:
        _check_same(config.study.name, json.loads(known or "{}"), identity)
    else:
        _found(study, config, identity, starts)
    if _TOKEN not in study.user_attrs:
        study.set_user_attr(_TOKEN, secrets.token_hex(8))
    return study


def token_of(config: Config, storage: BaseStorage) -> str | None:
    """What only this study is known by; None where there is none, or it has none yet."""
    try:
        study_id = storage.get_study_id_from_name(config.study.name)
    except KeyError:
        return None
    token: str | None = storage.get_study_user_attrs(study_id).get(_TOKEN)
    return token


def create_study(config: Config, storage: BaseStorage) -> optuna.Study:
    """Opens the study of that name, or makes an empty one, with its sampler and pruner.

    Raises:
        InputError: There is one with other objectives, or the sampler cannot be had.
    """
    settings = config.study
    # Refused, if it is, before anything is written.
    build_study_sampler(config, begun=0)
    study = optuna.create_study(
        storage=storage,
        study_name=settings.name,
        directions=directions(settings.second_objective),
        pruner=build_pruner(
            settings.pruner,
            epochs=settings.epochs_per_trial,
            patience=settings.patience_epochs,
            keep_paused=settings.keep_paused,
        ),
        load_if_exists=True,
    )
    if len(study.directions) != len(directions(settings.second_objective)):
        raise InputError(
            f"study.second_objective: the study {settings.name!r} exists with "
            f"{len(study.directions)} objectives; give the new search another study.name, or "
            "restore the old value"
        )
    study.sampler = build_study_sampler(config, begun=_count_begun(study))
    return study


def build_study_sampler(config: Config, *, begun: int) -> optuna.samplers.BaseSampler:
    """The sampler that a config asks for.

    Args:
        config: Of the study.
        begun: Trials that it has: a search that goes on must not draw those values once more.
    """
    return build_sampler(
        config.study.sampler,
        seed=config.study.seed,
        begun=begun,
        space=config.build_space(),
        plan=config.build_plan(),
    )


def enqueue_starts(study: optuna.Study, starts: Sequence[Planned]) -> None:
    """Has a new study try what its config knows already, ideas under their names."""
    for start in starts:
        named = {} if start.change is None else {CHANGE: start.change}
        study.enqueue_trial(dict(start.params), user_attrs=named, skip_if_exists=True)


def _count_begun(study: optuna.Study) -> int:
    trials = study.get_trials(deepcopy=False)
    return sum(trial.state is not TrialState.WAITING for trial in trials)


def open_finalists(config: Config, storage: BaseStorage) -> optuna.Study:
    """The sibling study that holds the repeats of finalists and the winner's final training."""
    study = optuna.create_study(
        storage=storage,
        study_name=_finalists_name(config),
        direction="maximize",
        sampler=build_sampler("random", seed=config.study.seed),
        pruner=build_pruner("none", epochs=1),
        load_if_exists=True,
    )
    _name_metrics(study, None)
    return study


def find_finalists(config: Config, search: optuna.Study) -> optuna.Study | None:
    """The sibling study beside a search, to read it; None where there is none."""
    try:
        return optuna.load_study(study_name=_finalists_name(config), storage=search._storage)
    except KeyError:
        return None


def _finalists_name(config: Config) -> str:
    return f"{config.study.name}/finalists"


def find_study(config: Config) -> optuna.Study:
    """Opens the study to read it, and makes no database where there is none.

    Raises:
        StudyNotFound: There is none of that name.
        StorageError: The database cannot be used.
    """
    storage = open_existing_storage(database_from_environment(config.study.runs))
    if storage is None:
        raise _none_of_that_name(config)
    try:
        return optuna.load_study(study_name=config.study.name, storage=storage)
    except KeyError:
        raise _none_of_that_name(config) from None


def find_holder(config: Config) -> str | None:
    """Which process runs the study at the moment; None where nobody does.

    Raises:
        StorageError: The database cannot be used.
    """
    return StudyLock(database_from_environment(config.study.runs), config.study.name).holder()


def _none_of_that_name(config: Config) -> StudyNotFound:
    return StudyNotFound(
        f"study.name: expected a study that has been started, found none named "
        f"{config.study.name!r}; start it with `unet-search run`"
    )


def _found(
    study: optuna.Study,
    config: Config,
    identity: Mapping[str, Any],
    starts: Sequence[Planned],
) -> None:
    """Writes what a new study is; its identity last, since that is what makes it one."""
    with suppress(KeyError):
        # Of a study of this name that was deleted: what it has spent is not this one's.
        optuna.delete_study(study_name=_finalists_name(config), storage=study._storage)
    _name_metrics(study, config.study.second_objective)
    study.set_user_attr("config", config.model_dump_json(exclude_none=True))
    study.set_user_attr("software", json.dumps(describe_software()))
    enqueue_starts(study, starts)
    study.set_user_attr(_IDENTITY, json.dumps(identity))


def _name_metrics(study: optuna.Study, second: str | None) -> None:
    with warnings.catch_warnings():
        # "Experimental" since Optuna 3.2; it is what the dashboard calls the objective.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([METRIC, *([second] if second else [])])


def describe_identity(study: optuna.Study) -> str:
    """What its trials have in common: space, data and the length of a trial."""
    return str(study.user_attrs.get(_IDENTITY, ""))


def check_space(config: Config, study: optuna.Study) -> None:
    """Refuses a config whose networks are others than those of the study's trials.

    Raises:
        InputError: Where the two spaces differ.
    """
    known = json.loads(describe_identity(study) or "{}")
    if "space" in known:
        _check_same(study.study_name, known, {"space": config.build_space().to_json()})


def described_data(study: optuna.Study) -> dict[str, Any]:
    """What is known of the volumes that its trials were trained on; nothing of a study not ours."""
    known: dict[str, Any] = json.loads(describe_identity(study) or "{}").get("data", {})
    return known


def _identity(config: Config, data: StudyData) -> dict[str, Any]:
    return {
        "space": config.build_space().to_json(),
        "study": {
            "epochs_per_trial": config.study.epochs_per_trial,
            "tiles_per_epoch": config.study.tiles_per_epoch,
            **({"started_from": data.earlier.sha256} if data.earlier else {}),
            "second_objective": config.study.second_objective,
        },
        "constraints": config.constraints.model_dump(),
        "data": data.to_json(),
    }


def comparable_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """What tells data from others, without what older versions did not keep beside it."""
    kept = {key: value for key, value in data.items() if key not in _BESIDE}
    if "volumes" in data:
        kept["volumes"] = [comparable_data(each) for each in data["volumes"]]
    return kept


def _check_same(name: str, known: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    # Through JSON and back, as the known one has gone.
    wanted = json.loads(json.dumps(wanted))
    for section in wanted:
        before, now = known.get(section, {}), wanted[section]
        if section == "space":
            # What an older version did not know was as it is by default.
            before = {key: getattr(Hyperparameters, key, None) for key in now} | before
        if section == "data":
            before, now = comparable_data(before), comparable_data(now)
        for key in sorted(before.keys() | now.keys()):
            if before.get(key) != now.get(key):
                raise InputError(
                    f"study.name: the study {name!r} exists with {section}.{key} = "
                    f"{before.get(key)!r}, the config has {now.get(key)!r}; "
                    "give the new search another study.name, or restore the old value"
                )
