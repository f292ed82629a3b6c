"""The package itself: import, types, stubs, documents."""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.util
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import longtail
import pytest
from longtail import _core

HERE = Path(__file__).parent
STUB = Path(longtail.__file__).with_name("_core.pyi")
NEEDS = dict.fromkeys(
    ("detectron2", "mmdet", "rfdetr", "torch", "torchvision", "transformers", "ultralytics"), "torch"
)


def test_import_needs_numpy_alone_and_is_quick() -> None:
    script = (
        "import sys, time, numpy; start = time.perf_counter(); import longtail; "
        "print(time.perf_counter() - start); print(sorted({m.split('.')[0] for m in sys.modules}))"
    )
    out = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    for package in ("torch", "pycocotools", "lvis", "pandas", "polars"):
        assert f"'{package}'" not in out[1]
    # 0.08 s is the aim; a loaded machine gets ten times as long.
    assert float(out[0]) < 0.8


def test_names_are_there_and_no_others() -> None:
    for name in longtail.__all__:
        if name not in ("RepairResult", "repair") or importlib.util.find_spec("torch") is not None:
            assert getattr(longtail, name) is not None
    assert {"torch", "losses"} <= set(dir(longtail))
    with pytest.raises(AttributeError, match="nothing"):
        longtail.nothing  # noqa: B018


def _declared(function: ast.FunctionDef) -> list[tuple[str, bool]]:
    """Parameters of a function in the stub: name, and whether it may be left out."""
    given = function.args
    needed = len(given.args) - len(given.defaults)
    found = [(argument.arg, index >= needed) for index, argument in enumerate(given.args)]
    found += [(a.arg, d is not None) for a, d in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    return [entry for entry in found if entry[0] not in ("self", "cls")]


def _native(thing: Any) -> list[tuple[str, bool]]:
    parameters = inspect.signature(thing).parameters.values()
    return [(p.name, p.default is not p.empty) for p in parameters if p.name != "self"]


def test_the_stub_is_the_native_module() -> None:
    """Every name, every parameter in its order, and which of them may be left out."""
    tree = ast.parse(STUB.read_text())
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    classes = {
        node.name: node
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    }
    public = {name for name in dir(_core) if not name.startswith("_")}
    assert {*functions, *classes} == public
    for name, node in functions.items():
        assert _declared(node) == _native(getattr(_core, name)), name
    for name, node in classes.items():
        native = getattr(_core, name)
        members = {member.name: member for member in node.body if isinstance(member, ast.FunctionDef)}
        assert {m for m in members if not m.startswith("__")} == {
            m for m in vars(native) if not m.startswith("__")
        }, name
        for member, declared in members.items():
            is_property = any(isinstance(d, ast.Name) and d.id == "property" for d in declared.decorator_list)
            assert is_property == inspect.isgetsetdescriptor(vars(native)[member]), f"{name}.{member}"
            if not is_property and not member.startswith("__"):
                assert _declared(declared) == _native(getattr(native, member)), f"{name}.{member}"
        if "__new__" in members:
            assert _declared(members["__new__"]) == _native(native), name


def test_it_is_typed() -> None:
    assert STUB.with_name("py.typed").exists()
    pytest.importorskip("mypy")
    # As installed: editable or a wheel.
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "-p", "longtail"]
    if importlib.util.find_spec("torch") is None:
        # Without torch its types are unknown; then the modules that need none are checked.
        command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary"]
        for name in (
            "_core",
            "_errors",
            "_evaluate",
            "_inputs",
            "_report",
            "_types",
            "analysis",
            "bank",
            "corrections",
            "data",
            "losses",
            "eval.coco",
            "eval.cocoeval",
        ):
            command += ["-m", f"longtail.{name}"]
        for name in ("eval._grid", "eval.lvis", "eval.lviseval", "eval.patching"):
            command += ["-m", f"longtail.{name}"]
    found = subprocess.run([*command, "--ignore-missing-imports"], capture_output=True, text=True, cwd=HERE)
    assert found.returncode == 0, found.stdout + found.stderr


def modules() -> list[str]:
    return [
        m.name for m in pkgutil.walk_packages(longtail.__path__, "longtail.") if not m.name.endswith("_core")
    ]


@pytest.mark.parametrize("name", ["longtail", *modules()])
def test_examples_in_the_source_run(name: str) -> None:
    needs = NEEDS.get(name.split(".")[1] if "." in name else "")
    if needs is not None:
        pytest.importorskip(needs)
    if name == "longtail.eval.patching":
        pytest.importorskip("pycocotools")
    found = doctest.testmod(
        importlib.import_module(name), extraglobs=_names(name), optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert found.failed == 0


def _names(name: str) -> dict[str, object]:
    import numpy

    return {"np": numpy, "longtail": longtail}


@pytest.mark.parametrize("name", ["longtail", *modules()])
def test_everything_public_is_described(name: str) -> None:
    needs = NEEDS.get(name.split(".")[1] if "." in name else "")
    if needs is not None:
        pytest.importorskip(needs)
    module = importlib.import_module(name)
    assert module.__doc__
    for key in getattr(module, "__all__", []):
        needs_more = key == "LongTailTrainer" or key in ("RepairResult", "repair")
        thing = None if needs_more else getattr(module, key)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert inspect.getdoc(thing), f"{name}.{key}"


def test_the_how_to_runs() -> None:
    page = HERE.parents[2] / "docs" / "how-to" / "python.md"
    if not page.exists():
        pytest.skip("the page is in the repository, and these tests are not")
    pytest.importorskip("pycocotools")
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL)
    assert blocks
    scope: dict[str, object] = {}
    for block in blocks:
        # Blocks for frameworks say so in their first line.
        first = block.splitlines()[0]
        if first.startswith("# needs "):
            needed = first.removeprefix("# needs ").split(", ")
            if not all(importlib.util.find_spec(name) for name in needed):
                continue
        exec(compile(block, str(page), "exec"), scope)
