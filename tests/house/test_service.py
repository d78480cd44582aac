"""How it is run: the systemd unit and the image, as far as their own checkers can tell."""

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "systemd" / "ringback.service"
RINGBACK = Path(sys.executable).with_name("ringback")
EXPOSURE = 2.0

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")


@pytest.fixture
def unit(tmp_path):
    """The unit with the daemon of this environment, because `verify` wants it to exist."""
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace("/opt/ringback/bin/ringback", str(RINGBACK)))
    return path


def _analyze(*arguments):
    command = ["systemd-analyze", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _settings(section):
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read(UNIT)
    return dict(parser[section])


@needs_systemd
def test_systemd_has_nothing_to_say_against_the_unit(unit):
    """`systemd-analyze verify` is silent."""
    done = _analyze("verify", unit)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
def test_the_unit_is_hardened(unit):
    """`systemd-analyze security` finds an exposure under 2.0."""
    done = _analyze("security", "--offline=true", "--no-pager", unit)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) < EXPOSURE


@needs_systemd
def test_a_softer_unit_is_caught(unit):
    """The threshold would notice if the hardening went."""
    keep = [
        line for line in unit.read_text().splitlines() if not line.startswith(("Protect", "Restrict", "SystemCall"))
    ]
    unit.write_text("\n".join(keep))
    limit = int(EXPOSURE * 10)
    assert _analyze("security", "--offline=true", "--no-pager", f"--threshold={limit}", unit).returncode != 0


def test_the_unit_knows_the_daemon():
    """It waits for READY, watches it, reloads it by SIGHUP, and does not restart what a restart cannot help."""
    service = _settings("Service")
    assert service["Type"] == "notify"
    assert service["WatchdogSec"]
    assert "HUP" in service["ExecReload"]
    assert service["RestartPreventExitStatus"] == "2 5"
    assert service["StateDirectory"] == "ringback"
