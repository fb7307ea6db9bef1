"""Imports point down: what stands below knows nothing of what stands on it."""

import ast
from functools import cache
from pathlib import Path
from sys import stdlib_module_names

import pytest

import bls_bench

PACKAGE = Path(bls_bench.__file__).parent
# The rooms from the ground up. Each imports from those before it, never from those after it.
ROOMS = (
    "version",
    "system",
    "gallery",
    "pruning",
    "integrations",
    "static",
    "records",
    "data",
    "optim",
    "tasks",
    "config",
    "refusals",
    "arguments",
    "engine",
    "experiments",
    "report",
    "bench",
    "look",
    "diagnose",
    "train",
    "tables",
    "command",
    "__main__",
)
MODULES = sorted(PACKAGE.rglob("*.py"))
# What the core may import beside Python's own library.
CORE = {"torch", "numpy"}
FRAMEWORKS = {"lightning", "lightning_fabric", "transformers", "accelerate"}


def room_of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


@cache
def imports(path):
    """Return the modules that a file imports, also within functions and for type checking alone."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where they point"
            # `from bls_bench import x` may name a room; a name that is none does no harm.
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def rooms_of(path):
    """Return the rooms, other than its own, that a file imports from."""
    own = [name.split(".")[1] for name in imports(path) if name.startswith("bls_bench.")]
    return {name for name in own if name in ROOMS} - {room_of(path)}


def test_every_module_is_in_a_room():
    assert {room_of(path) for path in MODULES} - {"__init__"} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_from_those_below_it_alone(room):
    below = set(ROOMS[: ROOMS.index(room)])
    for path in MODULES:
        if room_of(path) == room:
            assert rooms_of(path) <= below, path


def test_the_package_itself_offers_the_library_alone():
    assert rooms_of(PACKAGE / "__init__.py") <= {"pruning", "version"}


def packages(path):
    """Return the names of the packages that a file imports."""
    return {name.split(".")[0] for name in imports(path)} - {"__future__", "bls_bench"}


def test_the_core_imports_torch_and_numpy_alone():
    for path in MODULES:
        if room_of(path) in ("pruning", "system"):
            allowed = CORE if room_of(path) == "pruning" else CORE | {"omegaconf", "filelock"}
            assert packages(path) - stdlib_module_names <= allowed, path
            assert rooms_of(path) <= {"system", "gallery"}


def test_the_folders_of_tasks_make_no_circle():
    """Some share what another has, as tasks that generate images do; none shares both ways."""
    left = {path.parent.name for path in PACKAGE.glob("tasks/*/__init__.py")}
    needs = {
        name: {
            other.split(".")[2]
            for path in (PACKAGE / "tasks" / name).rglob("*.py")
            for other in imports(path)
            if other.startswith("bls_bench.tasks.")
        }
        & left - {name}
        for name in left
    }
    while free := {name for name in left if not needs[name] & left}:
        left -= free
    assert not left, f"these import each other: {left}"


def test_no_task_is_named_outside_its_folder():
    """The engine trains whatever task there is; the proxy of a scoring run is a classifier."""
    for path in MODULES:
        if room_of(path) in ("engine", "config", "data", "records", "static"):
            named = {name.split(".")[2] for name in imports(path) if name.startswith("bls_bench.tasks.")}
            shared = {"base", "objective", *(["classification"] if path.stem == "scoring" else [])}
            assert named <= shared, path


def test_each_framework_is_imported_by_its_integration_alone():
    for path in MODULES:
        for framework in packages(path) & (FRAMEWORKS - {"lightning_fabric"}):
            if room_of(path) == "integrations":
                assert path.stem == framework
            else:
                assert framework == "transformers", path
                assert room_of(path) == "tasks", path
