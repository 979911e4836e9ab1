"""`auto` in a config: what it becomes, and where it is written."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_commands_check import ROOT, case, written

from unetflow.commands import MENDABLE, check_auto, run_command
from unetflow.commands.auto_rules import Facts, choose_network, choose_recipe
from unetflow.commands.check_costs import Costs
from unetflow.errors import ConfigError
from unetflow.jobs.settings import read_settings
from unetflow.networks import geometry_of

__all__ = ["case"]
GIB = 2**30
FACTS = Facts(20.0, 256.0, 23 * 256.0**2, False, 16.0 * GIB)
NETWORK: dict[str, Any] = {"name": "unet", "depth": 3, "base_channels": 16}


def values_of(chosen: Mapping[str, tuple[Any, str]]) -> dict[str, Any]:
    return {key: value for key, (value, _) in chosen.items()}


def recipe_of(facts: Facts = FACTS, budget_min: float = 20, step_s: float = 0.1) -> dict[str, Any]:
    return values_of(choose_recipe(facts, NETWORK, budget_min, lambda recipe: step_s))


def test_a_network_is_as_deep_as_the_objects_and_as_wide_as_the_machine() -> None:
    assert values_of(choose_network(FACTS)) == {**NETWORK, "dropout": 0}
    assert choose_network(replace(FACTS, diameter_px=61))["depth"][0] == 4
    assert choose_network(replace(FACTS, has_gpu=True))["base_channels"][0] == 32
    short = choose_network(replace(FACTS, free_bytes=GIB))["base_channels"]
    assert short == (4, "what fits into 1 GiB of memory")


def test_patches_are_as_large_as_the_images_allow() -> None:
    geometry = geometry_of(**NETWORK)
    for side_px, output_px, batch in ((256, 252, 1), (2000, 276, 1), (64, 60, 16), (128, 124, 5)):
        recipe = recipe_of(replace(FACTS, side_px=side_px))
        assert (geometry.output_px(recipe["tile_px"]), recipe["batch"]) == (output_px, batch)
    assert (
        geometry.output_px(recipe_of(replace(FACTS, has_gpu=True, side_px=2000))["tile_px"]) == 508
    )


def test_steps_are_what_the_time_allows_and_the_pixels_need() -> None:
    many = replace(FACTS, annotated_px=1e9)
    assert recipe_of(many, step_s=0.9)["steps"] == 1200  # of 20 minutes 18 are for steps
    assert recipe_of(step_s=0.01)["steps"] == 1100  # 50 times 23 images, in patches of 252 px
    assert recipe_of(replace(FACTS, annotated_px=9), step_s=0.01)["steps"] == 1000
    assert recipe_of(step_s=60)["steps"] == 200  # longer than there is time for
    assert recipe_of(many, step_s=0.9)["validate_every"] == 200
    assert recipe_of(many, budget_min=60, step_s=0.9)["steps"] == 3600


def test_of_volumes_none_is_chosen() -> None:
    with pytest.raises(ValueError, match="it is of volumes"):
        choose_recipe(FACTS, {"name": "unet3d"}, 20, lambda recipe: 1.0)


def test_an_image_that_cannot_be_opened_does_not_keep_others_from_choosing(case: Path) -> None:
    config = yaml.safe_load(case.read_text())
    settings = read_settings(config, ROOT / "workflow" / "schemas", ROOT)
    min(Path().glob("?.tif")).write_bytes(b"no image")
    assert check_auto._channels_of(settings, "unet") == 1


@pytest.mark.slow
def test_what_is_chosen_is_written_with_its_reasons(
    case: Path,
    config: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("unetflow.commands.check.costs_of", lambda settings: Costs({}, 0.0))
    experiment = config["experiments"]["unet"]
    experiment |= {"network": "auto", "recipe": "auto", "budget_min": 0.5}
    config = yaml.safe_load(written(config).read_text())
    with pytest.raises(ConfigError, match="2 problems .*\n.*network: auto has to be chosen"):
        read_settings(config, ROOT / "workflow/schemas", Path())
    before = case.read_text()
    assert run_command("check", [str(case)]) == 0
    said = capsys.readouterr().out
    assert "the same command with --write puts them there" in said and case.read_text() == before
    assert run_command("check", [str(case), "--write"]) == 0
    text = case.read_text()
    assert "      depth: 3 # objects are 23 px across (the median)\n" in text
    assert "network: # chosen by unetflow check\n" in text and "auto" not in text
    assert set(before.splitlines()) - set(text.splitlines()) == {
        "    network: auto",
        "    recipe: auto",
    }
    settings = read_settings(yaml.safe_load(text), ROOT / "workflow/schemas", Path())
    recipe = settings.recipe("unet")
    assert recipe.loss == {"cross_entropy": 1, "dice": 1} and recipe.augmentation.elastic_px == 5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"network": "big"}, "'big' must be auto, or keys in lines below it, such as `name: unet`"),
        ({"recipe": "fast"}, "'fast' must be auto, or keys in lines below it"),
        ({"network": {"name": "unot"}, "recipe": "auto"}, "no network is called 'unot'"),
    ],
)
def test_other_words_are_none(
    case: Path,
    config: dict[str, Any],
    changes: dict[str, Any],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config["experiments"]["unet"] |= changes
    assert run_command("check", [str(written(config)), "--write"]) == MENDABLE
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ("a: {recipe: auto}", "line 2: .* of experiment a"),
        ("a:\n    recipe: &same auto\n  b:\n    recipe: *same", "line 3: .* of experiment a"),
        ("a: &a\n    recipe: auto\n  b:\n    <<: *a", ": .* of experiment b"),
    ],
)
def test_a_word_that_others_share_is_not_written_over(tmp_path: Path, text: str, who: str) -> None:
    config = tmp_path / "case.yaml"
    config.write_text(f"experiments:\n  {text}\n")
    choices = [check_auto.Choice(name, "recipe", {"steps": (100, "")}) for name in "ab"]
    with pytest.raises(ConfigError, match=f"{who} into a line of its own"):
        check_auto.write_choices(config, choices)
    assert config.read_text() == f"experiments:\n  {text}\n"


def test_of_a_config_that_is_a_link_the_file_is_written(tmp_path: Path) -> None:
    file, link = tmp_path / "shared.yaml", tmp_path / "case.yaml"
    file.write_text("experiments:\n  a:\n    recipe: auto # then\n")
    link.symlink_to(file.name)
    check_auto.write_choices(link, [check_auto.Choice("a", "recipe", {"steps": (100, "")})])
    assert link.is_symlink()
    assert yaml.safe_load(file.read_text())["experiments"]["a"]["recipe"] == {"steps": 100}


def test_a_word_beside_others_is_not_written_over(
    case: Path, config: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    config["experiments"]["unet"]["recipe"] = "auto"
    case.write_text(yaml.safe_dump(config, default_flow_style=True, width=10_000))
    assert run_command("check", [str(case), "--write"]) == MENDABLE
    said = capsys.readouterr().err
    assert "write `recipe: auto` of experiment unet into a line of its own" in said
