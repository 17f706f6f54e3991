from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.trial import TrialState
from search_rig import SearchRig
from small_config import build_config

from search import lineage, samplers
from search.always_asked import always_asked, distribution
from search.budget import Budget
from search.config_sections import StudyConfig
from search.lessons import Lessons
from search.pruners import build_pruner
from search.samplers import PLANNED, build_sampler
from search.space import Space, build_space
from search.study import build_study_sampler
from trainer.errors import InputError

SAMPLERS = get_args(StudyConfig.model_fields["sampler"].annotation)
DRAWING = [name for name in SAMPLERS if name not in PLANNED]
CONDITIONAL: dict[str, Any] = {
    "optimizer": ["adam", "sgd"],
    "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
    "momentum": {},
    "dropout": {"low": 0.0, "high": 0.5},
    "depth": 2,
}


def draw(name: str, seed: int, trials: int = 16) -> list[dict[str, Any]]:
    study = optuna.create_study(direction="maximize", sampler=build_sampler(name, seed=seed))
    for _ in range(trials):
        trial = study.ask()
        rate = trial.suggest_float("rate", 1e-5, 1e-1, log=True)
        # A dimension that only some trials have.
        momentum = trial.suggest_float("momentum", 0, 1) if trial.number % 2 else 0.0
        study.tell(trial, rate + momentum)
    return [trial.params for trial in study.trials]


def score(params: dict[str, Any]) -> float:
    return -abs(params["dropout"] - 0.4) - abs(params["learning_rate"] - 0.01)


def go_on(study: optuna.Study, space: Space, trials: int) -> list[dict[str, Any]]:
    for _ in range(trials):
        trial = study.ask()
        space.suggest(trial)
        study.tell(trial, score(trial.params))
    return [trial.params for trial in study.trials]


def test_each_sampler_that_a_config_knows_is_one_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As where torch is installed.
    monkeypatch.setattr(samplers, "find_spec", lambda name: name)
    configs = [build_config(tmp_path, study={"sampler": name}) for name in SAMPLERS]
    kinds = [type(build_study_sampler(config, begun=0)) for config in configs]
    # A grid and single changes are two plans of one sampler.
    assert len(set(kinds)) == len(SAMPLERS) - 1
    assert optuna.samplers.RandomSampler in kinds


@pytest.mark.parametrize("name", [name for name in DRAWING if name != "gp"])
def test_the_seed_decides_what_is_drawn(name: str) -> None:
    assert draw(name, 3) == draw(name, 3)
    assert draw(name, 3) != draw(name, 4)


@pytest.mark.parametrize("name", DRAWING)
def test_a_seed_beyond_the_largest_one_is_still_one(name: str) -> None:
    if name == "gp":
        pytest.importorskip("torch")
    assert draw(name, 2**32 + 3, trials=2) == draw(name, 3, trials=2)


def test_tpe_learns_where_the_good_values_are() -> None:
    study = optuna.create_study(direction="maximize", sampler=build_sampler("tpe", seed=1))
    study.optimize(lambda trial: -abs(trial.suggest_float("x", 0, 1) - 0.8), n_trials=40)
    late = [trial.params["x"] for trial in study.trials[-15:]]
    assert sum(abs(x - 0.8) < 0.2 for x in late) > 8


def test_a_space_knows_what_every_run_has() -> None:
    always = always_asked(build_space(CONDITIONAL))
    assert list(always) == ["optimizer", "learning_rate", "dropout"]
    assert "momentum" in always_asked(build_space({**CONDITIONAL, "optimizer": "sgd"}))
    (depth,) = build_space({"depth": {"low": 2, "high": 4}, "tile_size": 64}).dimensions
    assert distribution(depth) == IntDistribution(2, 4)


@pytest.mark.parametrize("name", [name for name in DRAWING if name != "gp"])
@pytest.mark.filterwarnings("error")
def test_a_search_that_goes_on_draws_new_values_and_the_same_again(name: str) -> None:
    def search() -> list[dict[str, Any]]:
        space = build_space(CONDITIONAL)
        study = optuna.create_study(direction="maximize")
        for _ in range(3):
            begun = len(study.trials)
            study.sampler = build_sampler(name, seed=7, begun=begun, space=space)
            go_on(study, space, 6)
        return [trial.params for trial in study.trials]

    found = search()
    assert len({params["learning_rate"] for params in found}) == 18
    assert found == search()


def test_a_sobol_sequence_goes_on_as_if_it_had_never_stopped() -> None:
    space = build_space({name: CONDITIONAL[name] for name in ("learning_rate", "dropout", "depth")})
    whole, halved = (optuna.create_study(direction="maximize") for _ in range(2))
    whole.sampler = build_sampler("qmc", seed=3, space=space)
    for begun in (0, 8):
        halved.sampler = build_sampler("qmc", seed=3, begun=begun, space=space)
        go_on(halved, space, 8)
    assert go_on(whole, space, 16) == [trial.params for trial in halved.trials]
    # Evenly: each quarter of a range holds as many as the next.
    quarters = [int(trial.params["dropout"] / 0.125) for trial in whole.trials]
    assert [quarters.count(each) for each in range(4)] == [4, 4, 4, 4]


def test_cma_es_goes_on_from_its_trials_and_keeps_no_pickle() -> None:
    space = build_space(CONDITIONAL)
    whole, halved = (optuna.create_study(direction="maximize") for _ in range(2))
    whole.sampler = build_sampler("cmaes", seed=3, space=space)
    go_on(whole, space, 24)
    for _ in range(3):
        halved.sampler = build_sampler("cmaes", seed=3, space=space)
        go_on(halved, space, 8)
    generations = [
        [trial.system_attrs["cma:generation"] for trial in study.trials[1:]]
        for study in (whole, halved)
    ]
    assert generations[0] == generations[1]
    assert generations[0][-1] >= 3
    assert not any("optimizer" in name for t in whole.trials for name in t.system_attrs)
    go_on(whole, space, 60)
    early, late = whole.trials[:15], whole.trials[-15:]
    assert sum(score(t.params) for t in late) > sum(score(t.params) for t in early)


def test_what_is_infeasible_or_pruned_teaches_cma_es() -> None:
    space = build_space({"dropout": {"low": 0.0, "high": 0.5}, "depth": 2})
    study = optuna.create_study(
        direction="maximize", sampler=build_sampler("cmaes", seed=2, space=space)
    )
    for _ in range(60):
        trial = study.ask()
        dropout = space.suggest(trial).dropout
        trial.report(dropout, 1)
        if dropout > 0.25:
            trial.set_constraint("epoch_seconds", dropout - 0.25)
        study.tell(trial, state=TrialState.PRUNED)
    late = [trial.params["dropout"] for trial in study.trials[-15:]]
    # The best that is allowed, and not the best.
    assert 0.1 < sum(late) / len(late) < 0.28


def paused_and_promoted(study: optuna.Study, value: float) -> None:
    """The study's first trial, stopped after an epoch, has gone on to its end."""
    lineage.enqueue_promotion(study, 0)
    promoted = lineage.take_continuation(study)
    assert promoted is not None
    promoted.suggest_float("dropout", 0.0, 0.5)
    study.tell(promoted, value)


def test_a_line_of_trials_is_one_lesson_and_keeps_its_generation() -> None:
    space = build_space({"dropout": {"low": 0.0, "high": 0.5}, "depth": 2})
    study = optuna.create_study(
        direction="maximize", sampler=build_sampler("cmaes", seed=2, space=space)
    )
    for value in (0.3, 0.2):
        trial = study.ask()
        space.suggest(trial)
        trial.report(value, 1)
        study.tell(trial, state=TrialState.PRUNED)
    interrupted = study.ask()
    space.suggest(interrupted)
    lineage.end_for_now(study, interrupted, "interrupted")
    paused_and_promoted(study, 0.9)
    lineage.enqueue_continuations(study)
    going_on = lineage.take_continuation(study)
    assert going_on is not None
    space.suggest(going_on)
    study.tell(going_on, 0.5)
    lessons = Lessons().read(study)
    assert [(each.number, each.values) for each in lessons] == [(3, [0.9]), (1, [0.2]), (4, [0.5])]
    # Optuna draws the first trial of a study by chance; the others are of a generation.
    generations = [each.system_attrs.get("cma:generation") for each in lessons]
    assert generations == [t.system_attrs.get("cma:generation") for t in study.trials[:3]]
    assert generations[2] is not None


def test_cma_es_searches_where_stopped_trials_are_promoted(quick_rig: SearchRig) -> None:
    quick_rig.space, quick_rig.sampler, quick_rig.epochs = build_space(CONDITIONAL), "cmaes", 9
    quick_rig.pruner = build_pruner("asha", epochs=9)
    quick_rig.run(Budget(trials=20))
    quick_rig.run(Budget(trials=40))
    assert lineage.promoted(quick_rig.trials())
    assert quick_rig.standing.spent.trials == 40


@pytest.mark.slow
def test_a_gaussian_process_is_shown_a_run_once_while_it_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("torch")
    space = build_space({"dropout": {"low": 0.0, "high": 0.5}, "depth": 2})
    study = optuna.create_study(
        direction="maximize", sampler=build_sampler("gp", seed=2, space=space)
    )
    trial = study.ask()
    space.suggest(trial)
    trial.report(0.3, 1)
    study.tell(trial, state=TrialState.PRUNED)
    lineage.enqueue_promotion(study, 0)
    assert lineage.take_continuation(study) is not None
    shown: list[list[int]] = []

    def sample(self: Any, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        shown.append([each.number for each in study.get_trials()])
        return {}

    monkeypatch.setattr(optuna.samplers.GPSampler, "sample_relative", sample)
    asked = study.ask()
    space.suggest(asked)
    assert shown == [[0, asked.number]]


@pytest.mark.slow
def test_a_gaussian_process_learns_and_keeps_away_from_what_is_infeasible() -> None:
    pytest.importorskip("torch")
    space = build_space({"dropout": {"low": 0.0, "high": 0.5}, "depth": 2})
    sampler = build_sampler("gp", seed=2, space=space)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for _ in range(14):
        trial = study.ask()
        dropout = space.suggest(trial).dropout
        trial.report(dropout, 1)
        if dropout > 0.25:
            trial.set_constraint("memory", 1.0)
        study.tell(trial, state=TrialState.PRUNED)
    by_chance, modelled = (
        [0.15 < trial.params["dropout"] <= 0.25 for trial in trials]
        for trials in (study.trials[:10], study.trials[10:])
    )
    assert sum(modelled) / 4 > sum(by_chance) / 10


def test_without_torch_the_gaussian_process_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(samplers, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"study\.sampler: .*`make install EXTRAS=gp`"):
        build_sampler("gp", seed=1)


@pytest.mark.parametrize("name", ["cmaes", "qmc"])
def test_a_sampler_searches_with_the_coordinator_and_a_pruner(tmp_path: Path, name: str) -> None:
    runs = []
    for folder in ("first", "second"):
        storage = optuna.storages.InMemoryStorage()
        rig = SearchRig(lambda storage=storage: storage, tmp_path / folder)
        rig.space, rig.sampler = build_space(CONDITIONAL), name
        rig.epochs, rig.pruner = 3, build_pruner("successive_halving", epochs=3)
        rig.run(Budget(trials=6))
        rig.run(Budget(trials=14))
        runs.append([(trial.params, trial.state) for trial in rig.trials()])
    assert runs[0] == runs[1]
    assert len({str(params) for params, _ in runs[0]}) == 14
