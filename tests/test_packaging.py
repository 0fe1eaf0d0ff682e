"""The package as others get it: sdist, wheel from it, filters and weights in both."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A wheel built from the sdist, as a package index would hold it."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list(out.glob("*.tar.gz"))) == 1
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_holds_the_engine_the_filters_and_their_types(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"vidnoise/py.typed", "vidnoise/pipeline.py", "vidnoise_filters/py.typed"} <= names
    assert {
        f"vidnoise_filters/{path.name}" for path in (ROOT / "filters/vidnoise_filters").glob("*.py")
    } <= names


def test_every_filter_imports_from_the_unpacked_wheel(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = (
        "import vidnoise, vidnoise.filters as f, vidnoise.registry as r, vidnoise_filters as b\n"
        "assert vidnoise.__file__.startswith({0!r}) and b.__file__.startswith({0!r}), vidnoise.__file__\n"
        "assert set(b.__all__) == set(f.__all__), (b.__all__, f.__all__)\n"
        "assert {{c.__name__ for c in r.filters().values()}} >= set(b.__all__)\n"
    ).format(str(tmp_path))
    environment = {"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=150)
    assert done.returncode == 0, done.stderr
