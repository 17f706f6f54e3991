"""A study in its database: made once, and recognised when it is opened again."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from search.config import Config
from search.data import StudyData
from search.errors import StudyNotFound
from search.provenance import describe_software
from search.pruners import build_pruner
from search.samplers import build_sampler
from storage.database import database_from_environment
from storage.studies import open_study_storage
from trainer.errors import InputError

METRIC = "validation Dice"
_IDENTITY = "defined_by"


def open_study(config: Config, data: StudyData, storage: BaseStorage) -> optuna.Study:
    """Creates the study, or goes on with the one of that name.

    A study that was killed before it was described is taken as a new one.

    Raises:
        InputError: The study of that name has another space, data or length of trials, so that
            its trials could not be compared with new ones.
    """
    study = optuna.create_study(
        storage=storage,
        study_name=config.study.name,
        direction="maximize",
        pruner=build_pruner(
            config.study.pruner,
            epochs=config.study.epochs_per_trial,
            keep_paused=config.study.keep_paused,
        ),
        load_if_exists=True,
    )
    begun = sum(trial.state is not TrialState.WAITING for trial in study.get_trials(deepcopy=False))
    # A search that goes on must not draw the same values as at its start once more.
    study.sampler = build_sampler(config.study.sampler, seed=config.study.seed + begun)
    identity = _identity(config, data)
    known = study.user_attrs.get(_IDENTITY)
    if known is not None or begun:
        _check_same(config.study.name, json.loads(known or "{}"), identity)
    else:
        _found(study, config, identity)
    return study


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
    _name_metric(study)
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
    database = database_from_environment(config.study.runs)
    if database.is_sqlite and not Path(str(database.url.database)).exists():
        raise _none_of_that_name(config)
    storage = open_study_storage(database)
    try:
        return optuna.load_study(study_name=config.study.name, storage=storage)
    except KeyError:
        raise _none_of_that_name(config) from None


def _none_of_that_name(config: Config) -> StudyNotFound:
    return StudyNotFound(
        f"study.name: expected a study that has been started, found none named "
        f"{config.study.name!r}; start it with `unet-search run`"
    )


def _found(study: optuna.Study, config: Config, identity: Mapping[str, Any]) -> None:
    """Writes what a new study is; its identity last, since that is what makes it one."""
    _name_metric(study)
    study.set_user_attr("config", config.model_dump_json(exclude_none=True))
    study.set_user_attr("software", json.dumps(describe_software()))
    space = config.build_space()
    for index, table in enumerate(config.start):
        study.enqueue_trial(space.start(table, f"start[{index}]"), skip_if_exists=True)
    study.set_user_attr(_IDENTITY, json.dumps(identity))


def _name_metric(study: optuna.Study) -> None:
    with warnings.catch_warnings():
        # "Experimental" since Optuna 3.2; it is what the dashboard calls the objective.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([METRIC])


def describe_identity(study: optuna.Study) -> str:
    """What its trials have in common: space, data and the length of a trial."""
    return str(study.user_attrs.get(_IDENTITY, ""))


def _identity(config: Config, data: StudyData) -> dict[str, Any]:
    return {
        "space": config.build_space().to_json(),
        "study": {
            "epochs_per_trial": config.study.epochs_per_trial,
            "tiles_per_epoch": config.study.tiles_per_epoch,
        },
        "data": data.to_json(),
    }


def _check_same(name: str, known: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    # Through JSON and back, as the known one has gone.
    wanted = json.loads(json.dumps(wanted))
    for section in wanted:
        before, now = known.get(section, {}), wanted[section]
        for key in sorted(before.keys() | now.keys()):
            if before.get(key) != now.get(key):
                raise InputError(
                    f"study.name: the study {name!r} exists with {section}.{key} = "
                    f"{before.get(key)!r}, the config has {now.get(key)!r}; "
                    "give the new search another study.name, or restore the old value"
                )
