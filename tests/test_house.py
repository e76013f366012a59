"""The house rules that no linter holds: sizes, docstrings, and that what a user may set or meet is written down."""

import ast
import fnmatch
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from dispatcher import settings
from dispatcher.db.tables import metadata

ROOT = Path(__file__).resolve().parent.parent
MOST_LINES = 400
LONGEST_FUNCTION = 50
LONGEST_TASK = 10
GENERATED = "dispatcher/db/migrations/versions"

# Neither a path on the machine that a file was written on, nor the host from which a package once came, tells anything
# about the project. Written so that the patterns do not match themselves.
FOREIGN = re.compile(
    r"(?<![A-Za-z0-9_.$}-])/(?:root|work|farm|Users|home)/[A-Za-z0-9_]"
    r"|pypi\.org|pythonhosted\.org|npmjs\.org|deb\.debian\.org"
)


@cache
def _files() -> tuple[Path, ...]:
    """Every file of the project: all that .gitignore does not name."""
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    ignored = [".git", *(line.strip("/") for line in lines if line and not line.startswith("#"))]

    def kept(name: str) -> bool:
        return not any(fnmatch.fnmatch(name, pattern) for pattern in ignored)

    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(filter(kept, folders))
        found += [Path(folder, name) for name in sorted(names) if kept(name)]
    return tuple(found)


def _modules() -> list[Path]:
    return [path for path in _files() if path.suffix == ".py" and GENERATED not in path.as_posix()]


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def _read(path: Path) -> tuple[bool, list[tuple[str, int]]]:
    """Claim that a module says what it is for, if it holds anything; and give how long each function is."""
    source = path.read_text(encoding="utf-8")
    module = ast.parse(source)
    says = not source.strip() or ast.get_docstring(module) is not None
    return says, [(f"{_name(path)}: {it.name}", _lines(it)) for it in _functions(module)]


def _functions(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Find them wherever a statement may stand; no expression holds any."""
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        for statement in getattr(node, field, ()):
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                yield statement
            yield from _functions(statement)


def _lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def test_the_walk_finds_the_project_and_leaves_out_what_git_ignores() -> None:
    names = {_name(path) for path in _files()}
    assert {"pyproject.toml", "dispatcher/errors.py", "tests/test_house.py"} <= names
    assert not any(name.startswith((".venv/", ".git/", "var/")) for name in names)


def test_no_file_of_code_is_longer_than_a_reader_can_hold() -> None:
    sizes = {_name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in _modules()}
    assert {name: lines for name, lines in sizes.items() if lines >= MOST_LINES} == {}


def test_no_function_is_longer_than_a_screen() -> None:
    sizes = [size for path in _modules() for size in _read(path)[1]]
    assert [(name, lines) for name, lines in sizes if lines > LONGEST_FUNCTION] == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [_name(path) for path in _modules() if not _read(path)[0]]
    assert silent == []


@pytest.mark.parametrize(
    ("text", "is_foreign"),
    [
        ("see /" + "root/notes", True),
        ("cd /" + "work/main", True),
        ("/" + "home/anna/dispatcher", True),
        ("https://files.pytho" + "nhosted.org/x.whl", True),
        ("COPY tests/work/x", False),
        ("a framework/root/thing", False),
        ("$HOME/" + "work/x", False),
    ],
)
def test_the_search_for_foreign_places_knows_them(text: str, is_foreign: bool) -> None:
    assert bool(FOREIGN.search(text)) is is_foreign


def test_no_file_names_a_place_on_somebodys_machine_or_the_host_of_a_registry() -> None:
    found = []
    for path in _files():
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if FOREIGN.search(line):
                found.append(f"{_name(path)}:{number}: {line.strip()[:100]}")
    assert found == []


def test_the_readme_explains_every_setting() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in settings.NAMES if f"{settings.PREFIX}{name}" not in readme] == []


def test_no_document_or_deployment_file_names_a_setting_that_does_not_exist() -> None:
    known = {settings.PREFIX + name + suffix for name in settings.NAMES for suffix in ("", "_FILE")}
    texts = [p for p in _files() if p.suffix in {".md", ".yml", ".env"} or p.name in {"Dockerfile", "Makefile"}]
    unknown = {
        f"{_name(path)}: {word}"
        for path in texts
        for word in re.findall(rf"\b{settings.PREFIX}[A-Z]+(?:_[A-Z]+)*", path.read_text(encoding="utf-8"))
        if word not in known
    }
    assert unknown == set()


def test_every_program_that_opens_the_database_keeps_the_file_of_endings() -> None:
    # Who looks only, migrates, measures, or puts a database back, says so here; every other keeps the file at once.
    apart = {"dispatcher/cli/db.py", "dispatcher/health.py", "dispatcher/cli/up.py", "dispatcher/bench/stage.py"}
    bare = {
        _name(path)
        for path in _modules()
        if path.is_relative_to(ROOT / "dispatcher")
        for line in path.read_text(encoding="utf-8").splitlines()
        if "make_engine(" in line and "def make_engine" not in line and "endings.keep(" not in line
    }
    assert bare == apart


def test_everybody_releases_by_the_gate_and_only_measurements_go_past_it() -> None:
    past = {
        _name(path)
        for path in _modules()
        if path.is_relative_to(ROOT / "dispatcher") and "release.schedule(" in path.read_text(encoding="utf-8")
    }
    assert past == {"dispatcher/sending/preflight/gate.py", "dispatcher/bench/stage.py"}


def test_a_comment_above_every_table_says_what_it_promises() -> None:
    files = sorted((ROOT / "dispatcher/db").glob("*table*.py"))
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    explained = {
        name.group(1)
        for above, line, below in zip(lines, lines[1:], lines[2:], strict=False)
        if above.startswith("# ") and line.endswith("= Table(") and (name := re.search(r'"(\w+)"', below))
    }
    assert set(metadata.tables) - explained == set()


def test_a_task_is_short_and_says_what_it_does() -> None:
    tasks = [
        function
        for function in _functions(ast.parse((ROOT / "dispatcher/worker/tasks.py").read_text(encoding="utf-8")))
        if any("app.task" in ast.unparse(decorator) for decorator in function.decorator_list)
    ]
    assert tasks
    assert [task.name for task in tasks if not ast.get_docstring(task)] == []
    assert {task.name: _lines(task) for task in tasks if _lines(task) > LONGEST_TASK} == {}
