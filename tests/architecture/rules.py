"""The rules of the house, each a function from a tree to what breaks it."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

# Where strays gather: such a name says nothing about what belongs there, so everything does.
STRAY_NAMES = {"base", "common", "core", "helpers", "misc", "util", "utils"}
# Alembic's name for the folder of revisions; the README of the migrations above it speaks for it.
NO_README_OF_THEIR_OWN = {"versions"}


def python_files(folder: Path) -> list[Path]:
    """Every module below the folder."""
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def code_folders(top: Path) -> list[Path]:
    """The folder itself and every folder below it that has a module of its own."""
    return sorted({top, *(path.parent for path in python_files(top))})


def folders_without_readme(top: Path) -> list[str]:
    """Folders that do not say what is in them."""
    return [
        str(folder)
        for folder in code_folders(top)
        if folder.name not in NO_README_OF_THEIR_OWN and not (folder / "README.md").is_file()
    ]


def long_readmes(top: Path, most_lines: int = 10) -> list[str]:
    """READMEs that nobody would read to the end."""
    found = ((folder / "README.md") for folder in code_folders(top))
    return [
        f"{readme}: {length} lines"
        for readme in found
        if readme.is_file() and (length := len(readme.read_text().rstrip().splitlines())) > most_lines
    ]


def stray_names(top: Path) -> list[str]:
    """Modules and folders with a name that says nothing."""
    modules = (path for path in python_files(top) if path.stem in STRAY_NAMES)
    folders = (folder for folder in code_folders(top) if folder.name in STRAY_NAMES)
    return sorted(map(str, itertools.chain(modules, folders)))


def long_files(top: Path, allowed: Mapping[str, str], most_lines: int = 250) -> list[str]:
    """Modules with more than one idea, presumably; and permissions that are no longer needed.

    Args:
        top: The package.
        allowed: Path below the package -> the reason why that file may be longer.
        most_lines: For all other files.
    """
    lengths = {str(path.relative_to(top)): len(path.read_text().splitlines()) for path in python_files(top)}
    long = {name: length for name, length in lengths.items() if length > most_lines}
    too_long = [f"{name}: {length} lines" for name, length in long.items() if name not in allowed]
    return too_long + [f"{name}: need not be allowed" for name in allowed if name not in long]


def imports_from_root(package: Path) -> list[str]:
    """Modules inside the package that import from its front door, and so from everything."""
    found = []
    for path in python_files(package):
        for node in ast.walk(ast.parse(path.read_text())):
            if package.name in _roots_imported(node, package):
                found.append(f"{path.relative_to(package)}:{node.lineno}")  # type: ignore[attr-defined]
    return found


def unsorted_exports(source: str) -> list[str]:
    """Names in `__all__` out of order within their group; a comment or an empty line begins a group."""
    lines = source.splitlines()
    found = []
    for before, name in itertools.pairwise(_exports(source)):
        between = (line.strip() for line in lines[before.lineno : name.lineno - 1])
        new_group = any(not line or line.startswith("#") for line in between)
        first, second = str(before.value), str(name.value)
        if not new_group and (first == second or first.casefold() > second.casefold()):
            found.append(str(name.value))
    return found


def _exports(source: str) -> list[ast.Constant]:
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
            assert isinstance(node.value, ast.List | ast.Tuple), "__all__ is a plain list"
            return [element for element in node.value.elts if isinstance(element, ast.Constant)]
    raise AssertionError("there is no __all__")


def _roots_imported(node: ast.AST, package: Path) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module == package.name:
        # `from package import module` names a module of the package, not something it exports.
        modules = {path.stem for path in package.iterdir() if path.suffix == ".py" or path.is_dir()}
        yield from (package.name for alias in node.names if alias.name not in modules)
