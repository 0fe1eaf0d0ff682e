"""Distillation: targets mixed with a teacher's results, and a teacher that stays as it was."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pictures import photographs
from test_train import CPU, small, source, trained

from vidnoise.errors import UsageError
from vidnoise.nets.weights import FOLDER, Card, build, read, save, write_card
from vidnoise.train import Media, Recipe
from vidnoise.train.recipe import parse
from vidnoise.train.tasks import make_task

MEDIA = Media(photographs(), [])


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    """Weights of an untrained network, which changes its input by little, but by something."""
    torch.manual_seed(3)
    path = tmp_path / "teacher.safetensors"
    sha256 = save(build("spatial", "fast"), path)
    card = Card("spatial", "fast", sha256, 1, 1.0, "none", "none", 0, 0, "none")
    write_card(card, path.with_suffix(".json"))
    return path


def taught(teacher: Path, share: float, steps: int = 20) -> Recipe:
    return replace(small(steps), teacher=str(teacher), taught=share)


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_the_target_is_the_teachers_result_by_its_share(teacher: Path, share: float) -> None:
    plain = make_task(small(1), MEDIA, None, CPU).batch(source())
    mixed = make_task(taught(teacher, share), MEDIA, None, CPU).batch(source())
    with torch.no_grad():
        told = read(teacher)[0](plain["noisy"], plain["sigma"])
    assert torch.equal(mixed["noisy"], plain["noisy"])
    assert (told - plain["target"]).abs().mean() > 0.01
    assert torch.allclose(mixed["target"], torch.lerp(plain["target"], told, share), atol=0.01)


def test_a_student_comes_nearer_to_its_teacher_which_stays_as_it_was(teacher: Path, tmp_path: Path) -> None:
    before = teacher.read_bytes()
    result = trained(taught(teacher, 1.0), tmp_path / "run")
    assert result.steps == 20
    assert teacher.read_bytes() == before
    task = make_task(taught(teacher, 1.0), MEDIA, None, CPU)
    batch = task.batch(source(9))
    torch.manual_seed(small(1).seed)
    untrained = build("spatial", "fast")
    with torch.no_grad():
        assert task.loss(read(result.weights)[0], batch) < task.loss(untrained, batch)


def test_no_gradient_reaches_the_teacher(teacher: Path) -> None:
    task = make_task(taught(teacher, 0.5), MEDIA, None, CPU)
    task.loss(task.model, task.batch(source())).backward()
    assert all(p.grad is None and not p.requires_grad for p in task.teacher.parameters())
    assert any(p.grad is not None for p in task.model.parameters())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"teacher": "nobody"}, "no file and no weights of the package"),
        ({"teacher": str(FOLDER / "level.safetensors")}, "kind 'level'"),
        ({"teacher": "level"}, "kind 'level'"),
        ({"task": "temporal", "size": 64}, "takes no teacher"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(teacher: Path, changes: dict[str, object], said: str) -> None:
    media = Media([p for p in photographs() if min(p.shape[:2]) >= 288], [])
    with pytest.raises(UsageError, match=said):
        make_task(replace(taught(teacher, 0.5), **changes), media, None, CPU)


@pytest.mark.parametrize("words", ['teacher="x"', "taught=0.5"])
def test_a_teacher_and_its_share_belong_together(words: str) -> None:
    with pytest.raises(UsageError, match="set both"):
        parse(f'task="spatial"\ntier="fast"\nsteps=1\n{words}', "mine")
