"""Imports run one way, and the package is quick to import."""

import ast
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
import vidnoise_filters

import vidnoise

ENGINE = Path(vidnoise.__file__).parent
FILTERS = Path(vidnoise_filters.__file__).parent

LAYERS = [
    "errors",
    "options",
    "colour",
    "frame",
    "device",
    "filter",
    "registry",
    "chain",
    "pipeline",
    "api",
    "cli",
]
"""Lowest first; a module may import those before it, and modules that are not in the list."""

PUBLIC = {
    "areas",
    "bent_motion",
    "chain",
    "colour",
    "dct",
    "deconvolution",
    "device",
    "errors",
    "filter",
    "flow",
    "frame",
    "fusion",
    "kernels",
    "light",
    "motion_blur",
    "nets",
    "noise",
    "noise_spectrum",
    "options",
    "ramps",
    "scaling",
    "scene",
    "shrinkage",
    "spectra",
    "stillness",
    "strips",
    "tiles",
}
"""What the built-in filters may import: the engine that any plugin may use."""


def imported(path: Path) -> set[str]:
    """The vidnoise modules that a file imports at any place, types apart: `frame`, `io.reader`, ..."""
    names: set[str] = set()
    tree = ast.parse(path.read_text())
    for guarded in [
        n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n.test)
    ]:
        guarded.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names if node.module == "vidnoise")
    return {name.removeprefix("vidnoise.") for name in names if name.startswith("vidnoise.")} | {
        "<filters>" for name in names if name.split(".")[0] == "vidnoise_filters"
    }


def test_each_layer_imports_only_lower_ones():
    allowed_upward = {("filter", "chain"), ("chain", "registry")}
    for layer in LAYERS[:-1]:
        for name in imported(ENGINE / f"{layer}.py"):
            top = name.split(".")[0]
            upward = top in LAYERS and LAYERS.index(top) > LAYERS.index(layer)
            assert not upward or (layer, top) in allowed_upward, f"{layer}.py imports {name}"


def test_the_engine_never_imports_a_filter_but_in_the_facade():
    for path in ENGINE.rglob("*.py"):
        if path.relative_to(ENGINE) != Path("filters.py"):
            assert not imported(path) & {"<filters>", "filters"}, path


def test_reading_and_writing_know_frames_and_no_filters():
    for path in (ENGINE / "io").rglob("*.py"):
        tops = {name.split(".")[0] for name in imported(path)}
        assert not tops & {"filter", "chain", "registry", "pipeline", "api", "cli", "tiles", "analysis"}, path


def test_the_built_in_filters_use_only_the_public_engine():
    for path in FILTERS.glob("*.py"):
        tops = {name.split(".")[0] for name in imported(path)} - {"<filters>"}
        assert tops <= PUBLIC, (path, tops - PUBLIC)


def test_nothing_below_the_command_line_imports_it():
    for path in ENGINE.rglob("*.py"):
        if "cli" not in path.parts and path.name != "__main__.py":
            assert "cli" not in {name.split(".")[0] for name in imported(path)}, path


def test_importing_vidnoise_and_its_command_loads_nothing_heavy():
    heavy = ("torch", "av", "cv2", "numpy", "onnxruntime", "spandrel")
    code = f"import sys, vidnoise, vidnoise.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("order", [vidnoise.__all__, vidnoise.__all__[::-1]], ids=["forwards", "backwards"])
def test_a_public_name_is_the_same_thing_at_each_access_and_no_module(order):
    code = f"""
import types, vidnoise
names = {order} + ["SpatialFilter", "option"]
first = {{name: getattr(vidnoise, name) for name in names}}
for name in names:
    assert getattr(vidnoise, name) is first[name], name
    assert not isinstance(first[name], types.ModuleType), name
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_public_names_are_offered_before_they_are_used():
    code = "import vidnoise; assert set(vidnoise.__all__) <= set(dir(vidnoise))"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_no_public_name_is_that_of_a_module():
    assert not set(vidnoise.__all__) & {module.name for module in pkgutil.iter_modules(vidnoise.__path__)}
