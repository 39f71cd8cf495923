"""Who may import whom, read from the sources; and what an import of each public name may load."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import omnirouter

PACKAGE = Path(omnirouter.__file__).parent
HEAVY = {
    "onnxruntime",
    "tokenizers",
    "pyarrow",
    "onnx",
    "safetensors",
    "yaml",
    "rich",
    "matplotlib",
    "scipy",
    "wordllama",
    "faiss",
    "ray",
    "torch",
    "transformers",
    "sentence_transformers",
}


def imports(path: Path, *, inside_functions: bool = True) -> Iterator[str]:
    """Absolute names of what a module imports; relative imports are resolved, `if TYPE_CHECKING` is left out."""

    def walk(node: ast.AST) -> Iterator[ast.AST]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if not inside_functions and isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                continue
            yield child
            yield from walk(child)

    folder = ("omnirouter", *path.relative_to(PACKAGE).parts[:-1])
    for node in walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [] if node.level == 0 else list(folder[: len(folder) - node.level + 1])
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


SOURCES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_the_sources_are_found() -> None:
    assert {"solver", "problem", "predictor", "router", "outcomes", "pool", "cli"} <= {room(path) for path in SOURCES}


def test_only_the_solver_and_the_oracles_touch_the_native_core() -> None:
    users = {room(path) for path in SOURCES if any(name.startswith("omnirouter._core") for name in imports(path))}
    assert users <= {"solver", "oracles", "ranges", "curve", "__init__"}
    assert "solver" in users


@pytest.mark.parametrize(
    ("who", "never"),
    [
        ("predictor", {"solver", "problem", "solution", "router"}),
        ("solver", {"predictor", "router", "outcomes", "pool"}),
        ("outcomes", {"predictor", "solver", "router", "pool"}),
        ("pool", {"predictor", "solver", "router", "outcomes"}),
        ("verification", {"solver", "solution", "_core", "words", "prices", "curve", "router"}),
        ("solver", {"verification", "ranges", "evaluation"}),
        ("router", {"evaluation"}),
        ("evaluation", {"verification", "curve", "ranges", "demo"}),
        ("ranges", {"verification", "predictor", "router", "outcomes", "pool"}),
        ("solution", {"verification", "solver"}),
        ("words", {"solver", "verification"}),
        ("problem", {"solver", "solution", "verification", "words"}),
        ("errors", {"extras", "solver", "predictor", "router", "outcomes", "pool"}),
    ],
)
def test_lower_rooms_do_not_know_the_upper_ones(who: str, never: set[str]) -> None:
    mine = [path for path in SOURCES if room(path) == who]
    assert mine
    for path in mine:
        known = {name.split(".")[1] for name in imports(path) if name.startswith("omnirouter.")}
        assert not known & never, path


def test_nobody_imports_the_command_line() -> None:
    for path in SOURCES:
        if room(path) not in ("cli", "demo", "__main__"):  # the demo is a caller of commands, like a user
            assert not any(name.startswith("omnirouter.cli") for name in imports(path)), path


def test_optional_packages_are_not_imported_by_a_module_as_it_loads() -> None:
    for path in SOURCES:
        loaded = {name.split(".")[0] for name in imports(path, inside_functions=False)}
        assert not loaded & HEAVY, path


def test_public_names_load_numpy_and_nothing_heavy() -> None:
    code = (
        "import sys, omnirouter; [getattr(omnirouter, name) for name in omnirouter.__all__];"
        f"assert 'numpy' in sys.modules; print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_are_listed_and_unknown_ones_are_refused() -> None:
    assert set(omnirouter.__all__) <= set(dir(omnirouter))
    with pytest.raises(AttributeError, match="sovle"):
        omnirouter.sovle  # noqa: B018
