"""The manners of the house: nothing unfinished, nothing skipped in silence, names that say something, docstrings."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "ringback"
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK|NotImplementedError|NotImplemented)\b")
LEFT_OUT = {"skip", "xfail", "importorskip", "exit"}
SAYS_NOTHING = {"util", "utils", "helper", "helpers", "manager", "managers", "common", "misc"}
SHORT = 40
WITHOUT_SECRET = {"store/memory.py"}
"""The plainest reading of its port: it has nothing to hide."""


def _parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def _texts():
    """Every text of the tree that somebody reads, but for this file, which has to name what it looks for."""
    yield from (path for path in SOURCE.rglob("*") if path.suffix in {".py", ".toml", ".sql", ".html"})
    yield from (path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__))
    for folder in ("docs", "config", "deploy"):
        yield from (path for path in (ROOT / folder).rglob("*") if path.is_file())
    yield from (ROOT / name for name in ("README.md", "CONTRIBUTING.md", "Makefile", "Dockerfile", ".ci/run"))


def unfinished(path):
    """The words of unfinished work."""
    return UNFINISHED.findall(path.read_text(encoding="utf-8"))


def left_out(path):
    """What is not tested: only a tool that this machine lacks may excuse a test, and it says so."""
    found = []
    for node in ast.walk(_parsed(path)):
        if not isinstance(node, ast.Attribute) or ast.unparse(node.value) not in {"pytest", "pytest.mark"}:
            continue
        if node.attr in LEFT_OUT:
            found.append(node.attr)
    for node in ast.walk(_parsed(path)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.skipif":
            reason = next((word.value for word in node.keywords if word.arg == "reason"), None)
            names_a_tool = isinstance(reason, ast.Constant) and re.search("needs |not installed", str(reason.value))
            if not names_a_tool or all(isinstance(given, ast.Constant) for given in node.args):
                found.append(ast.unparse(node))
    return found


def says_nothing(path):
    """The words in a file's own name, its folders', its classes' and its functions' that name no thing."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    defined = [node.name for node in ast.walk(_parsed(path)) if isinstance(node, kinds)]
    names = [*path.with_suffix("").parts[-2:], *(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name) for name in defined)]
    return [word for name in names for word in name.lower().split("_") if word in SAYS_NOTHING]


def undocumented(path, source=SOURCE):
    """What a module fails to say of itself: what it is, and from some size on which secret it keeps."""
    tree = _parsed(path)
    text = ast.get_docstring(tree) or ""
    if tree.body and not text.strip():
        return ["no docstring"]
    length = len(path.read_text(encoding="utf-8").splitlines())
    if length > SHORT and "Secret: " not in text and path.relative_to(source).as_posix() not in WITHOUT_SECRET:
        return ["no secret"]
    return []


def _complaints(judge, paths):
    return {path.relative_to(ROOT).as_posix(): found for path in paths if (found := judge(path))}


def test_nothing_is_unfinished():
    """Whatever stands in the tree is finished."""
    assert _complaints(unfinished, _texts()) == {}


def test_no_test_is_left_out_in_silence():
    """A test runs everywhere, or names the tool that is missing."""
    assert _complaints(left_out, (ROOT / "tests").rglob("*.py")) == {}


def test_every_name_says_something():
    """There is no drawer for what has no place."""
    assert _complaints(says_nothing, [*SOURCE.rglob("*.py"), *(ROOT / "tests").rglob("*.py")]) == {}


def test_every_module_says_what_it_is_and_keeps():
    """A module's docstring says what it is; one of some size says its secret."""
    assert _complaints(undocumented, SOURCE.rglob("*.py")) == {}


@pytest.mark.parametrize(
    ("judge", "name", "text"),
    [
        (unfinished, "a.py", "# TODO: later"),
        (unfinished, "a.py", "raise NotImplementedError"),
        (left_out, "a.py", "@pytest.mark.skip\ndef test_x(): ..."),
        (left_out, "a.py", "@pytest.mark.skip(reason='slow')\ndef test_x(): ..."),
        (left_out, "a.py", "def test_x():\n    pytest.skip('not now')"),
        (left_out, "a.py", "@pytest.mark.xfail\ndef test_x(): ..."),
        (left_out, "a.py", "x = pytest.importorskip('x')"),
        (left_out, "a.py", "@pytest.mark.skipif(True, reason='needs time')\ndef test_x(): ..."),
        (left_out, "a.py", "@pytest.mark.skipif(SLOW, reason='slow')\ndef test_x(): ..."),
        (left_out, "a.py", "@pytest.mark.skipif(shutil.which('x') is None)\ndef test_x(): ..."),
        (says_nothing, "utils.py", ""),
        (says_nothing, "common/a.py", ""),
        (says_nothing, "a.py", "class TaskManager: ..."),
        (says_nothing, "a.py", "def url_helper(): ..."),
    ],
)
def test_bad_manners_are_caught(tmp_path, judge, name, text):
    """Each judge sees what it is there for."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    assert len(judge(path)) == 1


def test_an_excused_test_is_let_pass(tmp_path):
    """A tool that is not there is an excuse when it is named."""
    path = tmp_path / "a.py"
    path.write_text("n = pytest.mark.skipif(shutil.which('node') is None, reason='needs node')")
    assert left_out(path) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("x = 1\n", ["no docstring"]),
        ('"""Words."""\n' + "x = 1\n" * (SHORT - 1), []),
        ('"""Words."""\n' + "x = 1\n" * SHORT, ["no secret"]),
        ('"""Words.\n\nSecret: all.\n"""\n' + "x = 1\n" * SHORT, []),
    ],
)
def test_a_module_that_hides_what_it_is_is_caught(tmp_path, text, found):
    """A module with content and no docstring, or a long one without its secret, is named."""
    path = tmp_path / "a.py"
    path.write_text(text)
    assert undocumented(path, tmp_path) == found
