"""dvc.yaml against the code: a stage depends on the files that it imports, no more and no fewer."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
SOURCE = REPOSITORY / "src"
PIPELINE: dict[str, Any] = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]


def imported_names(file: Path) -> Iterator[str]:
    """Dotted names that the file imports, also late, inside a function; not those for types only.

    `from a import b` gives both a and a.b: b may be a module.
    """
    nodes: list[ast.AST] = [ast.parse(file.read_text())]
    while nodes:
        node = nodes.pop()
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                nodes.extend(node.orelse)
                continue
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom():
                assert node.level == 0, f"{file}: relative imports are not followed"
                assert node.module
                yield node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
        nodes.extend(ast.iter_child_nodes(node))


def files_of(name: str) -> set[Path]:
    """The project's files that importing a dotted name runs: itself and the packages above it."""
    found = set()
    for root in (SOURCE, SOURCE / "stages"):
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            place = root.joinpath(*parts[:end])
            found |= {place.with_suffix(".py"), place / "__init__.py"}
    return {path for path in found if path.is_file()}


def import_closure(script: Path) -> set[str]:
    """Paths, as dvc.yaml has them, of every file of the project that running the script imports."""
    seen: set[Path] = set()
    waiting = {script}
    while waiting:
        file = waiting.pop()
        seen.add(file)
        for name in imported_names(file):
            waiting |= files_of(name) - seen
    return {path.relative_to(REPOSITORY).as_posix() for path in seen}


@pytest.mark.parametrize("stage", PIPELINE)
def test_code_dependencies_are_the_import_closure(stage: str) -> None:
    declared = [path for path in PIPELINE[stage]["do"]["deps"] if path.startswith("src/")]
    assert len(declared) == len(set(declared))
    assert set(declared) == import_closure(SOURCE / "stages" / f"{stage}.py")


@pytest.mark.parametrize("stage", PIPELINE)
def test_a_stage_runs_the_script_of_its_name(stage: str) -> None:
    assert PIPELINE[stage]["do"]["cmd"] == f"python src/stages/{stage}.py ${{key}}"


def test_late_and_type_only_imports(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(
        "from typing import TYPE_CHECKING\n"
        "import a.b\n"
        "if TYPE_CHECKING:\n    import for_types\n"
        "else:\n    import not_for_types\n"
        "def late():\n    from c import d\n"
    )
    expected = {"typing", "typing.TYPE_CHECKING", "a.b", "not_for_types", "c", "c.d"}
    assert set(imported_names(file)) == expected
