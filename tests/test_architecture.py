"""The plan of the rooms: imports go down the ladder, no circles, and every name in a text is there."""

import ast
import graphlib
import importlib
import re

import pytest

from helpers.places import ROOT

PACKAGE = ROOT / "gaintuning_tf"
LADDER = (
    "support",
    "images noise",
    "gains losses",
    "networks",
    "tuning training",
    "denoising serving",
    "reports evaluation",
    "cli viewer",
)
# Files and variables that are named as a module of the package is.
NO_MODULES = {"models.config", "config.crop"}
FLOOR = {room: floor for floor, rooms in enumerate(LADDER) for room in rooms.split()}
MODULES = {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in PACKAGE.rglob("*.py")}


def imported(file):
    """What a file imports, also inside functions and under TYPE_CHECKING: modules, and names behind them."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_imported(file):
    for name in imported(file):
        parts = name.split(".")
        if parts[0] == "gaintuning_tf" and len(parts) > 1 and parts[1] in FLOOR:
            yield parts[1]


def test_every_folder_is_a_room_of_the_ladder():
    folders = {folder.name for folder in PACKAGE.iterdir() if folder.is_dir() and folder.name != "__pycache__"}
    assert folders == set(FLOOR)


@pytest.mark.parametrize("room", FLOOR)
def test_imports_go_down(room):
    for file in (PACKAGE / room).rglob("*.py"):
        for other in rooms_imported(file):
            assert other == room or FLOOR[other] < FLOOR[room], f"{file} imports from {other}"


def test_modules_do_not_import_each_other_in_circles():
    graph = {name: {other for other in imported(file) if other in MODULES} - {name} for name, file in MODULES.items()}
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert "gaintuning_tf.tuning.tuner" in order


# What belongs to others and has no public name, in the Keras and TensorFlow that the versions in setup.cfg allow.
PRIVATE_ELSEWHERE = {
    "_flatten_layers": "Keras: layers at any depth, each once, which `layers` of a subclassed model does not give",
    "_outbound_nodes": "Keras: where the output of a layer goes",
    "_inbound_nodes": "Keras: where its input comes from",
    "_output_shape": "Keras: what a `Lambda` was told of the shape that its function makes",
    "_learning_rate": "Keras: the variable, where `learning_rate` of a schedule is a value",
    "_var_key": "Keras: what its TensorFlow optimizers override for tf.distribute, taken back",
    "_apply_weight_decay": "Keras: likewise",
    "_backend_update_step": "Keras: likewise",
    "_SubParsersAction": "Python: the type of what `add_subparsers` of a parser returns",
    "_exit": "Python: the end of a process here and now, wherever its other threads are",
    "_replace": "Python: a public method of named tuples",
}


def private(name):
    return name.startswith("_") and not name.endswith("__")


@pytest.mark.parametrize("room", FLOOR)
def test_no_module_imports_a_private_name_of_another(room):
    for file in (PACKAGE / room).rglob("*.py"):
        for name in imported(file):
            assert not (name.startswith("gaintuning_tf.") and private(name.rpartition(".")[2])), f"{file}: {name}"


def test_no_object_reaches_into_another():
    reached = set()
    for file in MODULES.values():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and private(node.attr):
                if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
                    continue
                assert node.attr in PRIVATE_ELSEWHERE, f"{file}:{node.lineno}: {ast.unparse(node)}"
                reached.add(node.attr)
    assert reached == set(PRIVATE_ELSEWHERE), "no longer needed"


# Folders within a room.
WITHIN = (
    "gains/graphs",
    "images/pictures",
    "images/tiff",
    "images/vendors",
    "images/zarr_arrays",
    "networks/formats",
)


def test_folders_within_rooms_are_known():
    folders = {f for room in FLOOR for f in (PACKAGE / room).iterdir() if f.is_dir() and f.name != "__pycache__"}
    assert {str(folder.relative_to(PACKAGE)) for folder in folders} == set(WITHIN)


@pytest.mark.parametrize("room", [*FLOOR, *WITHIN])
def test_a_folder_has_at_most_sixteen_files_and_says_what_each_is(room):
    files = [file for file in (PACKAGE / room).iterdir() if file.is_file()]
    assert len(files) <= 16
    told = re.findall(r"^- `(\w+)`: ", (PACKAGE / room / "__init__.py").read_text(), re.M)
    assert sorted(told) == sorted(file.stem for file in files if file.stem != "__init__")


@pytest.mark.parametrize("room", ["", *FLOOR, *WITHIN])
def test_names_handed_on_are_there_and_no_module_hides_one(room):
    package = importlib.import_module(f"gaintuning_tf.{room.replace('/', '.')}".rstrip("."))
    submodules = {file.stem for file in (PACKAGE / room).glob("*.py")}
    submodules |= {folder.name for folder in (PACKAGE / room).iterdir() if folder.is_dir()}
    assert not submodules & set(package.__all__), "importing the module would take the place of the name"
    for name in package.__all__:
        assert getattr(package, name) is not None


def test_importing_a_room_imports_nothing_heavy():
    for room in (*FLOOR, *WITHIN):
        assert set(imported(PACKAGE / room / "__init__.py")) == {"lazy_loader"}


def texts():
    """Docstrings and comments of the package, and the documents."""
    yield from PACKAGE.rglob("*.py")
    yield from (ROOT / "docs" / "develop").glob("*.md")
    yield ROOT / "README.md"
    yield ROOT / "CONTRIBUTING.md"


def resolves(name):
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[end:]:
            if not hasattr(found, attribute):
                return False
            found = getattr(found, attribute)
        return True
    return False


@pytest.mark.parametrize("file", texts(), ids=lambda file: str(file.relative_to(ROOT)))
def test_every_dotted_name_in_a_text_is_there(file):
    text = file.read_text()
    # Examples of the guides make modules of their own.
    made = re.findall(r"`(?:gaintuning_tf/)?(\w+)/(\w+)\.py`", text) if file.suffix == ".md" else []
    made = {f"gaintuning_tf.{room}.{stem}" for room, stem in made}
    full = set(re.findall(r"\bgaintuning_tf(?:\.[a-zA-Z_]\w*)+", text)) - made
    made |= {f"gaintuning_tf.{name}" for name in re.findall(r"^class (\w+)", text, re.M)}
    missing = {name for name in full if not resolves(name) and not any(f"{name}.".startswith(f"{m}.") for m in made)}
    assert not missing
    for stem, attribute in re.findall(r"`(\w+)\.(\w+)[`(.]", text):
        homes = [name for name in MODULES if name.split(".")[2:] == [stem]]
        homes += [f"gaintuning_tf.{stem}"] if stem in FLOOR else []
        if homes and attribute not in ("py", "pyi") and f"{stem}.{attribute}" not in NO_MODULES:
            assert any(resolves(f"{home}.{attribute}") for home in homes), f"{stem}.{attribute}"
