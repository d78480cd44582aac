"""The ceilings of the house: how long a file, a function and the core may be."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE = 400
LARGER = {"store/journal.py": 450, "store/postgres.py": 450}
FUNCTION = 70
CORE = 1000


def _files(package):
    return sorted(path for path in package.rglob("*.py"))


def _lines(path):
    return path.read_text(encoding="utf-8").splitlines()


def _code(path):
    """How many lines of code a file has: documentation, comments and blank lines are free."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    prose = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            prose.update(range(node.lineno, node.end_lineno + 1))
    lines = enumerate(_lines(path), 1)
    return sum(number not in prose and line.strip() != "" and line.strip()[0] != "#" for number, line in lines)


def _functions(path):
    """(name, lines) of every function and method, its decorators not counted."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.end_lineno - node.lineno + 1


def too_long(package):
    """What is above a ceiling, each with its figure."""
    found = []
    for path in _files(package):
        name = path.relative_to(package).as_posix()
        length = len(_lines(path))
        if length > LARGER.get(name, FILE):
            found.append(f"{name}: {length} lines")
        found += [f"{name}: {function} has {size} lines" for function, size in _functions(path) if size > FUNCTION]
    written = sum(map(_code, _files(package / "core")))
    if written >= CORE:
        found.append(f"core: {written} lines")
    return found


def _function(lines):
    return "def f():\n" + "    pass\n" * (lines - 1)


def test_nothing_is_too_long():
    """Every file and function can be read in one sitting, and the rules in one evening."""
    assert too_long(ROOT / "src" / "ringback") == []


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("poller.py", "#\n" * FILE, []),
        ("poller.py", "#\n" * (FILE + 1), ["poller.py: 401 lines"]),
        ("store/journal.py", "#\n" * 450, []),
        ("store/journal.py", "#\n" * 451, ["store/journal.py: 451 lines"]),
        ("web/journal.py", "#\n" * 401, ["web/journal.py: 401 lines"]),
        ("poller.py", _function(FUNCTION), []),
        ("poller.py", _function(FUNCTION + 1), ["poller.py: f has 71 lines"]),
        ("poller.py", "async " + _function(FUNCTION + 1), ["poller.py: f has 71 lines"]),
        ("poller.py", "class C:\n" + "    def f(self):\n" + "        pass\n" * 70, ["poller.py: f has 71 lines"]),
    ],
)
def test_what_is_too_long_is_caught(tmp_path, name, text, found):
    """A ceiling that nothing can hit would hold nothing up."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    assert too_long(tmp_path) == found


def test_a_core_that_grows_over_is_caught(tmp_path):
    """The core counts as a whole, however it is cut into files; what explains it is free."""
    core = tmp_path / "core"
    core.mkdir()
    for number in range(10):
        (core / f"{number}.py").write_text('"""Why.\n\nAnd how.\n"""\n' + "x = 1\n\n# so\n" * 99)
    assert too_long(tmp_path) == []
    (core / "last.py").write_text("x = 1\n" * 10)
    assert too_long(tmp_path) == ["core: 1000 lines"]
