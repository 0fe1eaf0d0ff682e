"""Recipes: what each setting takes, and how a wrong one is told."""

from pathlib import Path

import pytest

from vidnoise.errors import UsageError
from vidnoise.train import load_recipe
from vidnoise.train.recipe import parse

NEEDED = {"task": '"spatial"', "tier": '"fast"', "steps": "1"}


def read(line: str, table: str = "") -> object:
    """A recipe that says what is needed, and one line more or one in place of what is needed."""
    key = line.split("=")[0].strip()
    lines = [f"{name} = {value}" for name, value in NEEDED.items() if name != key]
    return parse("\n".join([*lines, table, line]), "mine")


@pytest.mark.parametrize(
    ("line", "takes"),
    [
        ("batch = 0", "1..4096"),
        ("batch = -1", "1..4096"),
        ("size = 0", "at least 16 in steps of 16 pixels"),
        ("size = -16", "at least 16 in steps of 16 pixels"),
        ("size = 40", "at least 16 in steps of 16 pixels"),
        ("frames = 0", "at least 2"),
        ("rate = 0", "1e-09..1"),
        ("rate = -1", "1e-09..1"),
        ("rate = nan", "1e-09..1"),
        ("rate = inf", "1e-09..1"),
        ("minutes = nan", "at least 0"),
        ("ema = 5", "0..1"),
        ("synthetic = 9", "0..1"),
        ("taught = 1.5", "0..1"),
        ("seed = -1", "0.."),
    ],
)
def test_a_number_out_of_range_is_told_with_its_range(line: str, takes: str) -> None:
    with pytest.raises(UsageError) as told:
        read(line)
    assert str(told.value).startswith(f"the recipe mine: {line.split()[0]}=")
    assert f"it takes {takes}" in str(told.value)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ('steps = "x"', "a whole number"),
        ("steps = 1.5", "a whole number"),
        ('batch = "a"', "a whole number"),
        ("batch = true", "a whole number"),
        ('warmup = "a"', "a whole number"),
        ('rate = "fast"', "a number"),
        ('muon = "x"', "a number"),
        ("loss = 5", "text"),
        ("int8 = 1", "true or false"),
    ],
)
def test_a_value_of_the_wrong_type_is_told_with_the_right_one(line: str, kind: str) -> None:
    with pytest.raises(UsageError, match=rf"the recipe mine: {line.split()[0]}=.*; it takes {kind}"):
        read(line)


@pytest.mark.parametrize("line", ['target = "zz"', 'loss = "zz"', 'tier = "zz"', 'task = "zz"'])
def test_a_word_that_is_no_choice_is_told_with_the_choices(line: str) -> None:
    with pytest.raises(UsageError, match=r"the recipe mine: \w+='zz' is not one of \w+, \w+"):
        read(line)


@pytest.mark.parametrize(
    ("table", "line", "said"),
    [
        ("noise", "sensor = 2", r"sensor=2 is out of range; it takes 0\.\.1"),
        ("noise", 'sigma = "x"', "sigma='x' is of type str; it takes a number"),
        ("moves", "shrink = 0.5", r"shrink=0.5 is out of range; it takes 1\.\.2"),
        ("moves", "sped = 3", "no setting 'sped'; it has elastic"),
        ("blur", "open = 0.5", r"open=0.5 is not a pair of numbers; write open = \[LOW, HIGH\]"),
        ("blur", "open = [1, 0.5]", r"write open = \[0.5, 1\]"),
        ("blur", "gamma = [0, 2]", r"gamma=0 is out of range; it takes 1\.\.5"),
        ("blur", "gamma = [1, 'a']", "gamma='a' is of type str; it takes a number"),
        ("blur", "shortest = 40", "shortest=40 above longest=36"),
    ],
)
def test_tables_are_checked_too(table: str, line: str, said: str) -> None:
    with pytest.raises(UsageError, match=rf"\[{table}\] of the recipe mine.*{said}"):
        read(line, f"[{table}]")


def test_a_value_in_place_of_a_table_is_refused() -> None:
    with pytest.raises(UsageError, match=r"noise=5 is no table; begin it with \[noise\]"):
        read("noise = 5")


def test_a_recipe_without_a_task_is_told_what_it_lacks() -> None:
    with pytest.raises(UsageError, match="the recipe mine must say task"):
        parse("steps = 1", "mine")


def test_whole_numbers_do_for_numbers_and_pairs_are_read() -> None:
    recipe = parse('task = "blur"\nsteps = 1\nrate = 1\n[blur]\ngamma = [1, 1.8]', "mine")
    assert (recipe.rate, recipe.blur.gamma) == (1, (1, 1.8))


def test_a_file_that_is_no_text_is_no_recipe(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"mine\.toml cannot be read as text"):
        load_recipe(str(path))


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ('task = "spatial"', "task='spatial' and tier=''"),
        ('task = "dncnn"\ntier = "fast"', "task='dncnn' and tier='fast'"),
    ],
)
def test_a_tier_is_set_for_networks_that_come_in_tiers_and_for_no_others(lines: str, found: str) -> None:
    with pytest.raises(
        UsageError, match=rf"the recipe mine has {found}; a tier \(fast, balanced\) is set for spatial"
    ):
        parse(f"{lines}\nsteps = 1", "mine")
