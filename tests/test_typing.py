"""What is public says which types it takes and returns: for readers, editors and pyright."""

import ast

import pytest

from helpers.places import ROOT

ROOMS = sorted(room.name for room in (ROOT / "gaintuning_tf").iterdir() if (room / "__init__.pyi").is_file())
# What Python calls, and so what users call.
CALLED = ("__init__", "__call__")


def public(body, owner=""):
    """The public functions and methods of a module or class: their names, their nodes, and whether they are methods."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public(node.body, f"{node.name}.")
        elif isinstance(node, ast.FunctionDef) and (not node.name.startswith("_") or (owner and node.name in CALLED)):
            yield f"{owner}{node.name}", node, bool(owner)


def without_type(node, method):
    """What lacks an annotation: parameters, and "return"."""
    static = any(isinstance(found, ast.Name) and found.id == "staticmethod" for found in node.decorator_list)
    parameters = [*node.args.posonlyargs, *node.args.args][1 if method and not static else 0 :]
    parameters += [*node.args.kwonlyargs, *filter(None, (node.args.vararg, node.args.kwarg))]
    returned = ["return"] if node.returns is None and node.name != "__init__" else []
    return [parameter.arg for parameter in parameters if parameter.annotation is None] + returned


EXAMPLE = """
class A:
    def __init__(self, a: int, *b, c): ...
    def d(self): ...
    def _e(self, f): ...

def g(h) -> int: ...
"""


def test_a_missing_annotation_is_found():
    found = {name: without_type(node, method) for name, node, method in public(ast.parse(EXAMPLE).body)}
    assert found == {"A.__init__": ["c", "b"], "A.d": ["return"], "g": ["h"]}


@pytest.mark.parametrize("room", ROOMS)
def test_what_is_public_is_annotated(room):
    files = sorted((ROOT / "gaintuning_tf" / room).glob("*.py"))
    assert len(files) > 1
    for file in files:
        for name, node, method in public(ast.parse(file.read_text()).body):
            missing = without_type(node, method)
            assert not missing, f"{room}/{file.name}, {name}: no type for {', '.join(missing)}"
