"""A token that a program prints: when it is run, what is read of it, and what is said when there is none."""

import asyncio
import json
import os
import sys
from datetime import timedelta

import pytest
from given import MINUTE, NOW, SECOND

from ringback.core.errors import BadInput
from ringback.credentials import Credentials, Keys
from ringback.minted import Minted


@pytest.fixture
def program(tmp_path):
    """A program that prints what it is told, and counts how often it was run."""
    runs = tmp_path / "runs"

    def make(code, name="mint.py"):
        path = tmp_path / name
        path.write_text(f"import sys, time\nopen({str(runs)!r}, 'a').write('x')\n{code}\n")
        return Minted([sys.executable, str(path)])

    make.runs = lambda: len(runs.read_text()) if runs.exists() else 0
    return make


def _prints(value):
    return f"print({value!r})"


async def test_it_is_run_when_it_is_first_needed_and_again_before_it_ends(program):
    """A token without a word about its life is had anew after half an hour, five minutes ahead."""
    minted = program(_prints("token-1"))
    with pytest.raises(BadInput, match="has not been run yet: it must print a token"):
        minted.reveal()
    for at, runs in ((0, 1), (1, 1), (24, 1), (25, 2), (26, 2)):
        await minted.freshen(NOW + at * MINUTE)
        assert (minted.reveal(), program.runs()) == ("token-1", runs)


@pytest.mark.parametrize(
    ("said", "anew_after"),
    [
        ({"access_token": "t", "expires_in": 3600}, 55 * MINUTE),
        ({"access_token": "t", "expires_in": "3600", "token_type": "Bearer"}, 55 * MINUTE),
        ({"accessToken": "t", "expiresOn": (NOW + 60 * MINUTE).isoformat()}, 55 * MINUTE),
        ({"token": "t", "expiry": "2026-11-22T06:33:00Z"}, 55 * MINUTE),
        ({"token": "t", "expires_in": 60}, 48 * SECOND),
        ({"token": "t", "expires_in": 1}, 30 * SECOND),
        ({"token": "t", "expires_in": "soon"}, 25 * MINUTE),
    ],
)
async def test_json_may_say_how_long_it_lives(program, said, anew_after):
    """Also a token of a second does not run the program more often than every half minute."""
    minted = program(_prints(json.dumps(said)))
    await minted.freshen(NOW)
    assert minted.reveal() == "t"
    assert not minted.due(NOW + anew_after - SECOND)
    assert minted.due(NOW + anew_after)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("sys.exit('log in first')", r"exited with 1 \(log in first\): it must print a token"),
        ("pass", "printed no token"),
        (_prints("{}"), "printed no token"),
        ("print('x' * 70_000)", "printed over 65536 bytes"),
    ],
)
async def test_a_program_that_prints_no_token_is_said_and_tried_again(program, code, sentence):
    minted = program(code)
    await minted.freshen(NOW)
    with pytest.raises(BadInput, match=sentence):
        minted.reveal()
    await minted.freshen(NOW + 29 * SECOND)
    assert program.runs() == 1
    await minted.freshen(NOW + 30 * SECOND)
    assert program.runs() == 2


async def test_a_program_that_does_not_end_is_ended(program, monkeypatch):
    monkeypatch.setattr("ringback.minted.RUNS_AT_MOST_S", 0.2)
    minted = program("time.sleep(600)")
    await minted.freshen(NOW)
    with pytest.raises(BadInput, match=r"did not end within 0\.2 s"):
        minted.reveal()


async def test_what_a_program_has_begun_is_ended_with_it(program, tmp_path, monkeypatch):
    """A shell that waits for another program does not keep the account waiting, nor leave that program behind."""
    monkeypatch.setattr("ringback.minted.RUNS_AT_MOST_S", 2.0)
    fifo = tmp_path / "held"
    os.mkfifo(fifo)
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    inner = f"import time; held = open({str(fifo)!r}, 'w'); held.write('.'); held.flush(); time.sleep(600)"
    minted = program(f"import subprocess; subprocess.run([sys.executable, '-c', {inner!r}])")
    await minted.freshen(NOW)
    with pytest.raises(BadInput, match=r"did not end within 2 s"):
        minted.reveal()
    assert os.read(reading, 9) == b"."
    assert os.read(reading, 9) == b""  # nobody has it open any more
    os.close(reading)


async def test_a_program_that_does_not_stop_printing_is_stopped(program):
    minted = program("while True: print('x' * 1000)")
    async with asyncio.timeout(20):
        await minted.freshen(NOW)
    with pytest.raises(BadInput, match="printed over 65536 bytes"):
        minted.reveal()


async def test_a_program_that_is_gone_is_said(tmp_path):
    minted = Minted([str(tmp_path / "gone")])
    await minted.freshen(NOW)
    with pytest.raises(BadInput, match=r"gone cannot be run \(No such file or directory\)"):
        minted.reveal()


async def test_a_token_that_still_lives_outlasts_a_failure(program, tmp_path):
    """An hour's token is kept when the program fails at minute 55, until the hour is over."""
    flag = tmp_path / "down"
    minted = program(
        f'import os\nif os.path.exists({str(flag)!r}): sys.exit(1)\nprint(\'{{"token": "t", "expires_in": 3600}}\')'
    )
    await minted.freshen(NOW)
    flag.touch()
    await minted.freshen(NOW + 56 * MINUTE)
    assert minted.reveal() == "t"
    await minted.freshen(NOW + 61 * MINUTE)
    with pytest.raises(BadInput, match="exited with 1"):
        minted.reveal()


async def test_a_refused_token_is_had_anew_but_not_at_every_refusal(program):
    minted = program(_prints("t"))
    await minted.freshen(NOW)
    minted.doubt(NOW + SECOND)
    assert not minted.due(NOW + SECOND)
    assert minted.due(NOW + 30 * SECOND)


async def test_all_who_wait_share_one_run(program):
    minted = program(_prints("t"))
    await asyncio.gather(*(minted.freshen(NOW) for _ in range(20)))
    assert (minted.reveal(), program.runs()) == ("t", 1)


async def test_another_token_is_another_stamp(program):
    """So that an account that rests because its key was refused is asked again."""
    minted = program("print(time.time_ns())")
    credentials = Credentials({"google": Keys({"api_key": minted})})
    await credentials.freshen("google", NOW)
    before = credentials.stamp("google")
    await credentials.freshen("google", NOW + SECOND)
    assert credentials.stamp("google") == before
    credentials.doubt("google", NOW + MINUTE)
    await credentials.freshen("google", NOW + timedelta(minutes=2))
    assert credentials.stamp("google") != before


async def test_a_token_is_never_shown(program):
    minted = program(_prints("hunter2"))
    await minted.freshen(NOW)
    assert "hunter2" not in f"{minted} {minted!r} {[minted]}"
    assert minted == Minted(minted._argv)
    assert minted != Minted(["other"])
