"""What a configuration file is refused for, in one line that names the key."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from config_text import PHANTOM, RAW, SETTINGS, SMALL, changed, listed, refusal

from search.config import load_config
from trainer.errors import InputError
from trainer.footprint import count_weights
from trainer.hyperparameters import Hyperparameters


def test_a_file_that_is_not_there_is_named(path: Path) -> None:
    with pytest.raises(InputError, match=r"mito\.toml: expected a configuration file, found none"):
        load_config(path)
    with pytest.raises(InputError, match="expected a configuration file"):
        load_config(path.parent)


def test_bytes_that_are_no_text_are_no_toml(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"mito\.toml: expected TOML") as caught:
        load_config(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["[study\nname = 1", 'name = "mito', "trials = = 4", "a = 1\na = 2"]
)
def test_a_slip_in_the_toml_is_placed(path: Path, text: str) -> None:
    with pytest.raises(tomllib.TOMLDecodeError):
        tomllib.loads(text)
    message = refusal(path, text)
    assert message.startswith("expected TOML, got: ")
    assert "line" in message or "end of document" in message


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (changed(("[study]\nname", "[studdy]\nname")), ["studdy", "did you mean 'study'?"]),
        (changed(("trials = 4", "trails = 4")), ["budget.trails", "did you mean 'trials'?"]),
        (changed(("name =", "naem =")), ["study.naem", "did you mean 'name'?"]),
        (
            changed(more="[modle]\na = 1\n"),
            ["modle", "known key", "known are budget, change"],
        ),
        (changed(more="[finals]\nepochs = 1\n"), ["finals", "did you mean 'final'?"]),
        (changed(more="[final]\nepoch = 1\n"), ["final.epoch", "did you mean 'epochs'?"]),
        (
            changed(more="[final]\nepochs = 1\nx = 1\n"),
            ["final.x", "known are epochs, hours, seeds, train_on"],
        ),
        (changed(("name =", "# name =")), ["study.name", "found none"]),
        (changed(("height = 64", "hight = 64")), ["data.phantom.hight", "did you mean 'height'?"]),
        (
            changed(more="[workers]\nwhere = 'mars'\n"),
            ["workers.where", '"ray" or "inline"', "'mars'"],
        ),
        (changed(more="[workers]\ngpus_per_trial = true\n"), ["workers.gpus_per_trial", "True"]),
        (
            changed(more="[workers]\ngpus_per_trial = 1.5\n"),
            ["workers.gpus_per_trial", "a share of one GPU or a whole number", "1.5"],
        ),
        (changed(more="[workers]\ncpus_per_trial = 0\n"), ["workers.cpus_per_trial", "0"]),
        (changed(("trials = 4", "trials = true")), ["budget.trials", "a whole number", "True"]),
        (changed(("trials = 4", "trials = 4.5")), ["budget.trials", "a whole number", "4.5"]),
        (changed(("trials = 4", "trials = '4'")), ["budget.trials", "a whole number", "'4'"]),
        (changed(("trials = 4", "trials = 0")), ["budget.trials", "greater", "0"]),
        (changed(('"mito"', '"mito"\nruns = "a\\u0000b"')), ["study.runs", "without", "NUL"]),
        (
            changed(('"mito"', '"mito"\nruns = "s3://b/runs"')),
            ["study.runs", "s3:/b"],
        ),
        (changed(("trials = 4", "hours = true")), ["budget.hours", "number", "True"]),
        (changed(("trials = 4", "hours = '2'")), ["budget.hours", "number", "'2'"]),
        (changed(("trials = 4", "hours = 0")), ["budget.hours", "greater than 0", "0"]),
        (changed(("trials = 4", "hours = inf")), ["budget.hours", "finite", "inf"]),
        (changed(("trials = 4", "hours = nan")), ["budget.hours", "nan"]),
        (changed(("trials = 4", "")), ["budget", "at least one of trials, epochs, hours"]),
        (
            changed(("[budget]\ntrials = 4\n", "")),
            ["budget", "at least one of trials, epochs, hours"],
        ),
        (changed(("[data]\n" + PHANTOM, "")), ["data", "found none"]),
        (changed((PHANTOM, "")), ["data", "both raw and mask, or a phantom"]),
        (changed((PHANTOM, 'raw = "a.tif"')), ["data", "both raw and mask, or a phantom"]),
        (changed((PHANTOM, f"{PHANTOM}\n{RAW}")), ["data", "both raw and mask, or a phantom"]),
        (changed((PHANTOM, f"{RAW}\nvoxel_size_nm = [5, 5]")), ["data.voxel_size_nm"]),
        (changed((PHANTOM, f"{RAW}\nvoxel_size_nm = [5, 5, 0]")), ["data.voxel_size_nm.2", "0"]),
        (changed((PHANTOM, f"{RAW}\nvoxel_size_nm = 5")), ["data.voxel_size_nm", "5"]),
        (changed((PHANTOM, "raw = 3\nmask = 4")), ["data.raw", "3"]),
        (changed(more="[split]\nvalidation = 1.5\n"), ["split.validation: ", "less than 1", "1.5"]),
        (
            changed(more="[split]\nvalidation = true\n"),
            ["split.validation", "a number or a list", "True"],
        ),
        (changed(more="[split]\nvalidation = [3]\n"), ["split.validation.1", "found none"]),
        (
            changed(more="[split]\ngap = 'wide'\n"),
            ["split.gap", '"auto" or a whole number', "'wide'"],
        ),
        (changed(more="[split]\ngap = -1\n"), ["split.gap: ", "greater than or equal to 0", "-1"]),
        (changed(more="[split]\nholdout = 3\n"), ["split.holdout", "3"]),
        (changed(('"mito"', '"a/b"')), ["study.name", "'a/b'"]),
        (changed(('"mito"', '".."')), ["study.name", "'..'"]),
        (changed(('"mito"', '""')), ["study.name", "''"]),
        (changed(('"mito"', '"mito\\n"')), ["study.name", "'mito\\n'"]),
        (changed(('"mito"', f'"{"m" * 65}"')), ["study.name"]),
        (changed(('"mito"', "7")), ["study.name", "a text", "7"]),
        (changed(('"mito"', '"mito"\nsampler = "best"')), ["study.sampler", '"tpe", "gp"']),
        (changed(('"mito"', '"mito"\nseed = -1')), ["study.seed", "-1"]),
        (
            changed(("[budget]\ntrials = 4", "")).replace("[study]", "budget = 4\n[study]"),
            ["budget", "a section", "4"],
        ),
        (
            changed(("low = 1e-4, high = 1e-2", "low = 1e-2, high = 1e-4")),
            ["space.learning_rate", "low below high"],
        ),
        (
            changed(("learning_rate", "learning_rte")),
            ["space.learning_rte", "did you mean 'learning_rate'?"],
        ),
        (changed(("tile_size = 32", "tile_size = 33")), ["space.tile_size", "multiple of 4", "33"]),
        (changed(more="[[start]]\nlearning_rate = 1.0\n"), ["start[0].learning_rate", "1.0"]),
        (changed(more="[[start]]\n[[start]]\nlr = 1.0\n"), ["start[1].lr", "learning_rate"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_is_wrong_is_said_in_one_line_that_names_the_key(
    path: Path, text: str, parts: list[str]
) -> None:
    message = refusal(path, text)
    assert message.startswith(parts[0])
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("section", "content", "changes"),
    [
        ("budget", "[budget]\ntrials = 4", {"budget__trials": 3}),
        ("data", f"[data]\n{PHANTOM}", {"data__raw": "a.tif", "data__mask": "b.tif"}),
    ],
)
def test_a_section_that_is_none_is_refused_with_values_of_the_command_line_too(
    path: Path, section: str, content: str, changes: dict[str, Any]
) -> None:
    text = f"{section} = 3\n" + changed((content, ""))
    assert f"{section}: expected a section" in refusal(path, text, **changes)


@pytest.mark.parametrize(
    ("tables", "parts"),
    [
        ([PHANTOM, 'raw = "a.tif"'], ["data.1", "both raw and mask, or a phantom"]),
        ([PHANTOM, f"{RAW}\nvoxelsize = 3"], ["data.1.voxelsize", "did you mean 'voxel_size_nm'?"]),
        ([PHANTOM, f"{RAW}\nrow = 3"], ["data.1.row", "did you mean 'raw'?"]),
        ([f"{PHANTOM}\ngap = -1"], ["data.0.gap", "greater than or equal to 0", "-1"]),
        ([f"{PHANTOM}\nvalidation = 1.5"], ["data.0.validation", "less than 1", "1.5"]),
        ([f"{PHANTOM}\nholdout = 3"], ["data.0.holdout", "3"]),
        ([f"{PHANTOM}\nname = ''"], ["data.0.name"]),
        ([f"{PHANTOM}\nname = 'a'"] * 2, ["data: ", "a name of its own", "'a' twice"]),
        (
            [f"{PHANTOM}\nname = 'volume 2'", PHANTOM],
            ["data: ", "a name of its own", "'volume 2' twice"],
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_is_wrong_with_one_of_several_volumes_is_said_in_one_line(
    path: Path, tables: list[str], parts: list[str]
) -> None:
    message = refusal(path, listed(*tables))
    assert message.startswith(parts[0])
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("study", "more", "parts"),
    [
        ('second_objective = "parameters"', "", ["pruner = 'none'", "parameters in [constraints]"]),
        (
            'second_objective = "parameters"\npruner = "none"\nsampler = "cmaes"',
            "",
            ["another sampler than 'cmaes'"],
        ),
        ('second_objective = "beauty"', "", ["study.second_objective", '"parameters"']),
        ("patience_epochs = 2", "", ["patience_epochs with pruner = 'patient'"]),
        ("", "[constraints]\nparameters = 0\n", ["constraints.parameters", "got 0"]),
        ("", "[constraints]\nepoch_seconds = nan\n", ["constraints.epoch_seconds", "nan"]),
        ("", "[constraints]\nparameters = 9\n", ["constraints.parameters: expected at least"]),
        ("", '[[change]]\nname = "a"\ndepth = 99\n', ["change[0].depth", "99"]),
        ("", '[[start]]\n[[start]]\nx = 1\n[[change]]\nname = "a"\n', ["start[1].x"]),
        ('sampler = "one_at_a_time"', "[[change]]\ndepth = 3\n", ["change[0].name", "None"]),
        (
            'sampler = "one_at_a_time"',
            '[[change]]\nname = "a"\nlearning_rte = 3\n',
            ["change[0].learning_rte"],
        ),
        (
            'sampler = "one_at_a_time"',
            '[[change]]\nname = "a"\ndropout = 3\n',
            ["change[0].dropout", "got 3"],
        ),
        (
            'sampler = "one_at_a_time"',
            '[[change]]\nname = "a"\npreset = "2020"\n',
            ["change[0].preset", "report_2019"],
        ),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(
    path: Path, study: str, more: str, parts: list[str]
) -> None:
    message = refusal(path, changed((SETTINGS, f"{SETTINGS}\n{study}"), more=more))
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_no_volume_at_all_is_refused(path: Path) -> None:
    text = "data = []\n" + changed((f"[data]\n{PHANTOM}", ""))
    assert refusal(path, text) == "data: expected at least one volume, got none"


@pytest.mark.parametrize(
    ("more", "parts"),
    [
        ("[start]\nfrom = 3\n", ["start[0].from: expected a model folder, got 3"]),
        ("[start]\nfrom = ''\n", ["start[0].from: expected a model folder, got ''"]),
        ("[start]\nfrom = 'a'\npreset = 'report_2019'\n", ["start[0].preset", "got both"]),
        ("[start]\nfrom = 'a'\nlr = 1.0\n", ["start[0].lr", "learning_rate"]),
        ("[[start]]\nfrom = 'a'\n" * 2, ["start[1].from: expected one model", "a second one"]),
        ("[start]\nlr = 1.0\n", ["start[0].lr", "learning_rate"]),
    ],
)
def test_a_start_that_cannot_be_is_refused_before_any_model_is_read(
    path: Path, more: str, parts: list[str]
) -> None:
    message = refusal(path, changed(more=more))
    assert message.startswith(parts[0])
    for part in parts:
        assert part in message


def test_a_value_of_the_command_line_is_checked_like_the_files(path: Path) -> None:
    assert refusal(path, SMALL, budget__trials=0).startswith("budget.trials")
    assert refusal(path, SMALL, budget__hours=0.0).startswith("budget.hours")
    assert refusal(path, SMALL, budget__hours=float("nan")).startswith("budget.hours")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('name = "a"', "export.name: expected 5 to 64 letters"),
        ('name = "Mito: one"', "export.name: expected 5 to 64 letters"),
        (f'description = "{"a" * 1025}"', "export.description: expected at most 1024 characters"),
        ("ensemble = 1", "export.ensemble: expected a value greater than or equal to 2, got 1"),
        ("ensemble = true", "export.ensemble: expected a whole number"),
        ('authors = ["Anna"]', "export.authors.0: expected a section"),
        ('authors = [{ nam = "Anna" }]', "did you mean 'name'?"),
        ('cite = [{ text = "A" }]', "export.cite.0: expected a doi or a url beside text"),
        ('licence = "MIT"', "did you mean 'license'?"),
    ],
)
def test_a_publication_that_does_not_do_is_refused(path: Path, line: str, message: str) -> None:
    assert message in refusal(path, changed(more=f"\n[export]\n{line}\n"))


@pytest.mark.parametrize(
    ("name", "values"), [("kernel", ["effective_5x5", "5x5"]), ("outer_levels", [0, 1])]
)
def test_a_limit_of_weights_is_held_against_the_fewest(
    path: Path, name: str, values: list[Any]
) -> None:
    fixed = {"filters": 16, "depth": 4, "tile_size": 64}
    least = min(count_weights(Hyperparameters(**{**fixed, name: value})) for value in values)
    space = {**fixed, name: values}
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in space.items())
    text = f"{SMALL[: SMALL.index('[space]')]}[space]\n{lines}[constraints]\nparameters = "
    path.write_text(f"{text}{least}\n")
    load_config(path)
    assert f"expected at least {least}" in refusal(path, f"{text}{least - 1}\n")
