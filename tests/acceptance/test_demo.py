"""`ringback demo`: what somebody sees first."""

from tests.faces.terminal import ringback


def test_the_demo_shows_the_whole_job(tmp_path):
    """Every task ends as told, every callback arrives verified, and nothing is left behind; exit 0 in under 40 s."""
    ended = ringback("demo", timeout=40, cwd=tmp_path, TMPDIR=tmp_path)
    assert (ended.code, ended.err) == (0, ""), ended.out
    lines = ended.out.splitlines()
    told = [line.split(maxsplit=2)[2].split()[:4] for line in lines if " s  " in line]
    callbacks = {words[1]: words[2] for words in told if words[0] == "callback" and "503" not in words}
    assert callbacks == {
        "weather": "task.succeeded",
        "login": "task.failed",
        "search": "task.failed",
        "gateway": "task.succeeded",
        "deploy": "task.succeeded",
        "report": "task.succeeded",
    }
    assert any("answered 503: comes again" in line for line in lines)
    assert any("goes on where its journal ends" in line for line in lines)
    assert "each once, in order, every signature valid" in lines[-2]
    assert list(tmp_path.iterdir()) == []
