from __future__ import annotations

from pathlib import Path

import pytest
from config_text import PHANTOM, RAW, SETTINGS, SMALL, changed, listed, refusal

from search.budget import Budget
from search.config import Config, load_config
from search.plan import Planned
from trainer.errors import InputError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("shipped", sorted((ROOT / "configs").glob("*.toml")), ids=lambda p: p.name)
def test_a_shipped_configuration_loads(shipped: Path) -> None:
    config = load_config(shipped)
    assert config.build_space().dimensions
    # A table has no winner to train anew.
    assert (config.final is None) == shipped.name.startswith("report_table")
    opening = shipped.read_text().splitlines()[:10]
    assert all(any(word in line for line in opening) for word in ("Costs:", "Reaches:", "Run:"))


def test_the_first_search_of_the_stack_is_that_of_an_installation() -> None:
    of_stack, quick = (
        load_config(ROOT / "configs" / f"{name}.toml") for name in ("compose", "quick")
    )
    assert of_stack.study.name == "compose"
    assert of_stack.model_copy(update={"study": quick.study}) == quick
    assert of_stack.study.model_copy(update={"name": "quick"}) == quick.study


def test_the_smallest_configuration_has_the_rest_by_default(path: Path) -> None:
    path.write_text(SMALL)
    config = load_config(path)
    assert (config.study.sampler, config.study.pruner, config.study.seed) == ("tpe", "asha", 0)
    assert (config.study.keep, config.workers.where, config.workers.retries) == (3, "ray", 2)
    assert (config.split.validation, config.split.gap, config.split.holdout) == (0.2, "auto", None)
    assert config.final is None
    assert config.folder == Path("runs/mito")
    assert config.build_budget() == Budget(trials=4)
    assert [each.name for each in config.build_space().dimensions] == ["learning_rate"]


def test_values_of_the_command_line_take_the_place_of_the_files(path: Path) -> None:
    path.write_text(SMALL)
    config = load_config(path, budget__trials=9, budget__hours=0.5)
    assert config.build_budget() == Budget(trials=9, hours=0.5)
    assert load_config(path, budget__trials=None).budget.trials == 4


def test_files_of_the_command_line_take_the_place_of_a_phantom(path: Path) -> None:
    path.write_text(SMALL)
    config = load_config(path, data__raw="a.tif", data__mask="b.tif")
    assert (config.data.raw, config.data.mask) == (Path("a.tif"), Path("b.tif"))
    assert config.data.phantom is None
    message = refusal(path, SMALL, data__raw="a.tif", data__mask=None)
    assert message == "data: expected both raw and mask, or a phantom"


def test_a_data_set_of_an_hdf5_file_beside_the_config_is_a_file(path: Path) -> None:
    path.write_text(SMALL)
    config = load_config(path, data__raw="vol.h5:/raw", data__mask="vol.h5:/mask")
    assert config.data.raw == Path("vol.h5:/raw")


def test_a_mask_of_the_command_line_leaves_the_files_raw(path: Path) -> None:
    path.write_text(
        changed(
            (
                "phantom = { sections = 24, height = 64, width = 64 }",
                'raw = "a.tif"\nmask = "b.tif"',
            )
        )
    )
    config = load_config(path, data__mask="c.tif")
    assert (config.data.raw, config.data.mask) == (Path("a.tif"), Path("c.tif"))


def test_a_budget_of_the_command_line_is_enough(path: Path) -> None:
    path.write_text(changed(("[budget]\ntrials = 4\n", "")))
    assert load_config(path, budget__trials=2).build_budget() == Budget(trials=2)


def test_several_volumes_are_a_list_of_tables_with_names(path: Path) -> None:
    path.write_text(listed(PHANTOM, f'{RAW}\nname = "new"\nvoxel_size_nm = [9, 8, 8]'))
    config = load_config(path)
    assert [each.name for each in config.volumes] == ["volume 1", "new"]
    assert config.volumes[1].voxel_size_nm == (9, 8, 8)
    assert Config.model_validate_json(config.model_dump_json(exclude_none=True)) == config
    path.write_text(SMALL)
    (only,) = load_config(path).volumes
    assert only.phantom is not None


def test_a_volume_is_split_as_it_says_itself_and_else_as_all_are(path: Path) -> None:
    own = f"{PHANTOM}\nvalidation = [3, 5]\ngap = 0"
    more = "[split]\ngap = 4\nholdout = [0, 2]\nholdout_gap = 1\n"
    path.write_text(listed(PHANTOM, f"{own}\nholdout_gap = 0", more=more))
    config = load_config(path)
    first, second = (each.split(config.split) for each in config.volumes)
    assert (first.validation, first.gap, first.holdout) == (0.2, 4, (0, 2))
    assert (second.validation, second.gap, second.holdout) == ((3, 5), 0, (0, 2))
    assert (first.holdout_gap, second.holdout_gap) == (1, 0)


def test_files_of_the_command_line_are_one_volume_in_place_of_a_list(path: Path) -> None:
    several = listed(PHANTOM, RAW)
    path.write_text(several)
    (only,) = load_config(path, data__raw="c.tif", data__mask="d.tif").volumes
    assert (only.raw, only.mask, only.phantom) == (Path("c.tif"), Path("d.tif"), None)
    assert len(load_config(path, data__raw=None, data__mask=None).volumes) == 2
    (only,) = load_config(path, ["data.raw=c.tif", "data.mask=d.tif"]).volumes
    assert (only.raw, only.mask) == (Path("c.tif"), Path("d.tif"))
    message = refusal(path, several, data__raw="c.tif")
    assert message == "data: expected both raw and mask, or a phantom"


def test_one_start_may_be_a_table_of_its_own(path: Path) -> None:
    path.write_text(changed(more="[start]\nfrom = 'runs/old/model'\nlearning_rate = 1e-3\n"))
    assert load_config(path).start == ({"from": "runs/old/model", "learning_rate": 1e-3},)


IDEAS = """
[[start]]
learning_rate = 2e-3
[[start]]
learning_rate = 5e-4
[[change]]
name = "Dice"
loss = "dice"
[[change]]
name = "Deeper"
depth = 5
"""


def test_ideas_are_tried_first_and_their_values_are_searched_together(path: Path) -> None:
    path.write_text(changed(more=IDEAS))
    config = load_config(path)
    known = {each.name: each for each in config.build_space().dimensions}
    assert set(known["loss"].choices) == {"bce_dice", "dice"}
    other, *ideas = config.starts()
    assert [idea.change for idea in ideas] == ["baseline", "Dice", "Deeper"]
    baseline, dice, deeper = (idea.params for idea in ideas)
    assert baseline["learning_rate"] == 2e-3
    assert (baseline["loss"], baseline["depth"]) == ("bce_dice", 2)
    assert dice == {**baseline, "loss": "dice"}
    assert deeper == {**baseline, "depth": 5}
    assert other == Planned({"learning_rate": 5e-4})
    path.write_text(changed((SETTINGS, f'{SETTINGS}\nsampler = "one_at_a_time"'), more=IDEAS))
    assert load_config(path).starts() == [other]


def test_ideas_are_of_the_first_run_that_the_config_describes(path: Path) -> None:
    earlier = "[[start]]\nfrom = 'runs/old/model'\nlearning_rate = 1e-3\n"
    path.write_text(changed(more=earlier + IDEAS))
    first, other, baseline, *_ = load_config(path).starts()
    assert first == Planned({"learning_rate": 1e-3})
    assert other == Planned({"learning_rate": 5e-4})
    assert baseline.params["learning_rate"] == 2e-3
    path.write_text(changed((SETTINGS, f'{SETTINGS}\nsampler = "grid"'), more=IDEAS))
    assert [each.change for each in load_config(path).starts()][1:] == [
        "baseline",
        "Dice",
        "Deeper",
    ]


def test_an_idea_has_to_fit_the_baseline_that_the_config_names(path: Path) -> None:
    space = ("depth = 2\n", "depth = { low = 2, high = 4 }\n")
    fine = ("tile_size = 32\n", "")
    idea = "[[start]]\ndepth = 4\n[[change]]\nname = 'a'\ntile_size = 24\n"
    message = refusal(path, changed(space, fine, more=idea))
    assert "change[0].tile_size" in message
    assert "16" in message


def test_ideas_have_to_fit_each_other_where_a_sampler_combines_them(path: Path) -> None:
    ideas = """
[[change]]
name = "Small tiles"
tile_size = 16
[[change]]
name = "Coarse"
stem_stride = 8
"""
    alone = f'{SETTINGS}\nsampler = "one_at_a_time"'
    assert "tile_size" in refusal(path, changed(more=ideas))
    path.write_text(changed((SETTINGS, alone), more=ideas))
    assert load_config(path).most_trials() == 3


@pytest.mark.parametrize("sampler", ["grid", "one_at_a_time"])
def test_a_plan_is_limit_enough(path: Path, sampler: str) -> None:
    study = f'{SETTINGS}\nsampler = "{sampler}"'
    path.write_text(changed((SETTINGS, study), ("[budget]\ntrials = 4\n", "")))
    plan = load_config(path).build_plan()
    assert plan is not None
    assert load_config(path).most_trials() == plan.size
    assert load_config(path, budget__trials=2).most_trials() == 2


EXPORT = """
[export]
name = "Mitochondria (FIB-SEM)"
authors = [{ name = "Anna Example", orcid = "0000-0002-1825-0097" }]
license = "MIT"
cite = [{ text = "A paper", doi = "10.1234/5" }]
tags = ["mitochondria"]
ensemble = 3
"""


def test_a_publication_is_what_the_file_says(path: Path) -> None:
    path.write_text(changed(more=EXPORT))
    export = load_config(path).export
    publication = export.build_publication("mito")
    assert publication.name == "Mitochondria (FIB-SEM)"
    assert [author.orcid for author in publication.authors] == ["0000-0002-1825-0097"]
    assert (publication.license, publication.tags) == ("MIT", ("mitochondria",))
    assert [each.doi for each in publication.cite] == ["10.1234/5"]
    assert export.ensemble == 3


def test_a_publication_has_defaults_that_others_can_read(path: Path) -> None:
    path.write_text(changed())
    publication = load_config(path).export.build_publication("a.b" * 21 + "c")
    assert publication.name.startswith("U-Net a-ba-b")
    assert len(publication.name) == 64
    assert publication.license == "CC-BY-4.0"
    assert len(publication.cite) == 1


def test_values_can_be_set_for_one_command(tmp_path: Path) -> None:
    path = tmp_path / "mito.toml"
    path.write_text(
        '[study]\nname = "a"\nepochs_per_trial = 2\ntiles_per_epoch = 9\n'
        "[budget]\ntrials = 3\n[data]\nphantom = {}\n[space]\n"
    )
    settings = ["study.tiles_per_epoch=60", "space.filters = 4", "study.name=b", "space.loss=dice"]
    config = load_config(path, settings)
    assert (config.study.tiles_per_epoch, config.study.name) == (60, "b")
    assert config.space == {"filters": 4, "loss": "dice"}
    files = load_config(path, ["data.raw=a.tif", "data.mask=b.tif"]).data
    assert (files.raw, files.phantom) == (Path("a.tif"), None)
    with pytest.raises(InputError, match="both raw and mask, or a phantom"):
        load_config(path, ["data.raw=a.tif"])
    path.write_text(path.read_text().replace("phantom = {}", 'raw = "a.tif"\nphantom = {}'))
    with pytest.raises(InputError, match="a phantom, and not both"):
        load_config(path)
    path.write_text(path.read_text().replace('raw = "a.tif"\n', ""))
    for wrong in ("tiles=3", "study.seed", "study.=3", "=3"):
        with pytest.raises(InputError, match="--set: expected SECTION"):
            load_config(path, [wrong])
    with pytest.raises(InputError, match=r"study\.epochs_per_trial"):
        load_config(path, ["study.epochs_per_trial=0"])
