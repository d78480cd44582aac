"""The command line as a person uses it: a process of its own, what it wrote and how it ended."""

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass

RINGBACK = [sys.executable, "-m", "ringback.cli.main"]


@dataclass(frozen=True)
class Ended:
    """What became of a command."""

    code: int
    out: str
    err: str

    @property
    def sentence(self):
        """The one line that an error is."""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, f"expected one sentence, got: {self.err!r} (exit {self.code}, out {self.out!r})"
        assert "Traceback" not in self.err
        return lines[0]


def environ(**more):
    """The environment without what the machine's user may have set for ringback."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RINGBACK_")}
    return kept | {"PYTHONWARNINGS": "error", "COLUMNS": "200"} | more


def ringback(*args, stdin="", cwd=None, timeout=60, **env):
    """Run one command to its end."""
    done = subprocess.run(
        [*RINGBACK, *map(str, args)],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        cwd=cwd,
        env=environ(**env),
        timeout=timeout,
        check=False,
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


class Running:
    """A command that goes on. What it writes is read at once, so that it never waits for us."""

    def __init__(self, process):
        self.process = process
        self._lines = queue.SimpleQueue()
        self.seen = []
        for stream in (process.stdout, process.stderr):
            threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def awaited(self, pattern, *, within_s=30):
        """The match in the first line, of those not looked at yet, that has one."""
        while True:
            try:
                line = self._lines.get(timeout=within_s)
            except queue.Empty:
                line = None
            assert line is not None, f"no {pattern!r} in: {''.join(self.seen)}"
            self.seen.append(line)
            if found := re.search(pattern, line):
                return found

    def end(self, number=signal.SIGTERM):
        """Send a signal and wait for the end; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)

    def _read(self, stream):
        for line in stream:
            self._lines.put(line)
        self._lines.put(None)


@contextmanager
def running(*args, cwd=None, **env):
    """A command that goes on until the block ends."""
    with subprocess.Popen(
        [*RINGBACK, *map(str, args)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=environ(**env),
    ) as process:
        try:
            yield Running(process)
        finally:
            process.kill()


URL = r"http://127\.0\.0\.1:[0-9]+"


@contextmanager
def serving(*args, cwd=None, **env):
    """A daemon that is ready, and where it is."""
    with running("serve", *args, cwd=cwd, **env) as daemon:
        started = json.loads(daemon.awaited(r"^{.*ringback\.started.*}$")[0])
        yield daemon, started["listen"]
