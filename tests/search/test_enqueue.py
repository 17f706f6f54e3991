from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from search.config import Config, load_config
from search.enqueue import enqueue_params, what_follows
from trainer.errors import InputError

CONFIG = """
[study]
name = "mito"
epochs_per_trial = 3
tiles_per_epoch = 10
[budget]
trials = 4
[data]
phantom = {}
[space]
learning_rate = { low = 1e-4, high = 1e-2, log = true }
loss = ["bce", "dice"]
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    path = tmp_path / "mito.toml"
    path.write_text(CONFIG)
    return load_config(path)


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study(study_name="mito")


def test_values_wait_to_be_tried(config: Config, study: optuna.Study) -> None:
    study.add_trial(optuna.create_trial(value=0.5))
    assert enqueue_params(config, study, '{"learning_rate": 0.001}') == 1
    assert enqueue_params(config, study, '{"loss": "dice"}') == 2
    assert enqueue_params(config, study, '{"learning_rate": 0.001}') == 3
    (first, *_) = study.get_trials(states=(TrialState.WAITING,))
    assert first.number == 1
    assert study.ask().suggest_float("learning_rate", 1e-4, 1e-2, log=True) == 0.001


def test_a_spent_budget_is_told(config: Config, study: optuna.Study) -> None:
    for _ in range(3):
        study.add_trial(optuna.create_trial(value=0.5))
    enqueue_params(config, study, '{"learning_rate": 0.001}')
    assert what_follows(config, study).startswith("the search takes it next")
    study.add_trial(optuna.create_trial(value=0.5))
    assert what_follows(config, study).endswith("takes it with --trials 5 or more")


@pytest.mark.parametrize(
    ("limit", "told"), [("hours = 0.5", "0.5 hours"), ("epochs = 3", "3 epochs")]
)
def test_a_limit_that_ends_every_trial_is_told(
    tmp_path: Path, study: optuna.Study, limit: str, told: str
) -> None:
    path = tmp_path / "mito.toml"
    path.write_text(CONFIG.replace("[budget]", f"[budget]\n{limit}"))
    config = load_config(path)
    assert what_follows(config, study).startswith("the search takes it next")
    study.set_user_attr("seconds_spent", 1800.0)
    reports = dict.fromkeys(range(1, 4), 0.5)
    study.add_trial(optuna.create_trial(value=0.5, intermediate_values=reports))
    assert what_follows(config, study).startswith(f"the budget of {told} is spent: raise it")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "--params: expected a JSON object"),
        ("[1]", "--params: expected a JSON object with at least one value"),
        ("{}", "at least one value"),
        ('{"learning_rat": 1e-3}', "params.learning_rat: expected a dimension"),
        ('{"learning_rate": 1}', "params.learning_rate: expected a value within"),
        ('{"loss": "tversky"}', "params.loss"),
        ('{"learning_rate": NaN}', "params.learning_rate"),
    ],
)
def test_what_no_trial_can_have_is_refused(
    config: Config, study: optuna.Study, text: str, named: Any
) -> None:
    with pytest.raises(InputError, match=named.replace("(", r"\(")):
        enqueue_params(config, study, text)
    assert study.trials == []
