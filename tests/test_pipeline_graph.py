"""dvc.yaml against the code: a stage runs again when code that can change its figures changes.

What a stage's script imports, also late, inside a function, lies in what dvc.yaml lists for it, or
in ANYWHERE, whose code changes no figure: of the library it imports nothing that measures.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from vaelab.settings import ARCHITECTURES, ModelSettings, load_settings
from vaelab.settings.datasets import SourceRecipe

REPOSITORY = Path(__file__).parents[1]
SOURCE = REPOSITORY / "src"
PIPELINE: dict[str, Any] = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]
ANYWHERE = (
    "src/vaelab/runtime/",
    "src/vaelab/settings/",
    "src/vaelab/__init__.py",
    "src/stages/stage.py",
)
MOST = 8  # entries of code in a stage's list
NETS = "src/vaelab/nets/__init__.py"  # which imports nets by their names


def imported_names(file: Path) -> Iterator[str]:
    """Dotted names that the file imports, also late; not those for types only.

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


def files_of(name: str) -> set[str]:
    """The project's files that importing a dotted name runs: itself and the packages above it."""
    found = set()
    for root in (SOURCE, SOURCE / "stages"):
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            place = root.joinpath(*parts[:end])
            found |= {place.with_suffix(".py"), place / "__init__.py"}
    return {path.relative_to(REPOSITORY).as_posix() for path in found if path.is_file()}


def imports_of(file: str) -> set[str]:
    return {path for name in imported_names(REPOSITORY / file) for path in files_of(name)}


def code_of(stage: str) -> set[str]:
    """Every file outside of ANYWHERE that running the stage's script imports; empty ones apart."""
    architecture = stage.removeprefix("train_")
    trained = [architecture] if stage.startswith("train_") else list(ARCHITECTURES)
    seen: set[str] = set()
    waiting = {f"src/stages/{stage}.py"}
    while waiting:
        file = waiting.pop()
        seen.add(file)
        found = imports_of(file)
        if file == NETS:
            found |= {f"src/vaelab/nets/{name}.py" for name in trained}
        waiting |= {each for each in found if not each.startswith(ANYWHERE)} - seen
    return {file for file in seen if (REPOSITORY / file).stat().st_size}


def listed(stage: str) -> list[str]:
    return [entry for entry in PIPELINE[stage]["do"]["deps"] if entry.startswith("src/")]


def covers(entry: str, file: str) -> bool:
    return file == entry or file.startswith(f"{entry}/")


@pytest.mark.parametrize("stage", PIPELINE)
def test_a_stage_lists_what_its_script_imports_and_no_more(stage: str) -> None:
    assert PIPELINE[stage]["do"]["cmd"] == f"python src/stages/{stage}.py ${{key}}"
    entries, code = listed(stage), code_of(stage)
    defaults = ["src/vaelab/settings/datasets.py"] if stage == "download" else []
    assert not [file for file in code if not any(covers(entry, file) for entry in entries)]
    assert [each for each in entries if not any(covers(each, file) for file in code)] == defaults
    assert all((REPOSITORY / each).exists() for each in entries)
    assert len(entries) <= MOST


def test_what_no_stage_lists_imports_nothing_that_measures() -> None:
    """But for the array's types: `tracking` reads what a data set's meta.json says."""
    for folder in ("runtime", "settings"):
        for path in (SOURCE / "vaelab" / folder).rglob("*.py"):
            found = imports_of(path.relative_to(REPOSITORY).as_posix())
            others = {each for each in found if not each.startswith(ANYWHERE)}
            assert others <= {"src/vaelab/data/__init__.py", "src/vaelab/data/arrays.py"}, path


def test_what_mlflow_is_told_runs_no_stage_again() -> None:
    for stage in PIPELINE.values():
        assert not [key for key in stage["do"].get("params", []) if key.startswith("tracking")]


def test_only_recipes_have_defaults() -> None:
    """Else a setting's default could change a figure, and no stage would run again for it."""

    def check(section: BaseModel) -> None:
        for name, field in type(section).model_fields.items():
            assert field.is_required(), f"{type(section).__name__}.{name}"
            value = getattr(section, name)
            if isinstance(value, BaseModel) and not isinstance(value, SourceRecipe):
                check(value)

    settings = load_settings(REPOSITORY / "params.yaml")
    check(settings)
    assert all(isinstance(recipe, SourceRecipe) for recipe in settings.datasets.values())


def test_a_stage_that_trains_reads_its_own_nets_settings_alone() -> None:
    for name in ARCHITECTURES:
        params = PIPELINE[f"train_{name}"]["do"]["params"]
        assert "model" not in params
        shared = {key for key in ModelSettings.model_fields if key not in ARCHITECTURES}
        assert {f"model.{key}" for key in (name, *shared)} <= set(params)
        assert {"datasets.${key}", "objective", "train"} <= set(params)


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
