"""`ringback`: the table of commands, and how an error becomes one sentence and an exit code.

Secret: which command lives where. A command's file is imported only when that command runs, and the first page is
printed without the parser: `ringback --help` answers in a blink.
"""
# ruff: noqa: PLC0415 - a command line imports what is heavy where it is needed

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import ringback
from ringback.cli import exits
from ringback.cli.stdin import STDIN
from ringback.core.errors import RingbackError, nearest

if TYPE_CHECKING:
    from cyclopts import App

COMMANDS = (
    (
        "Try it",
        (
            ("demo", "demo:demo", "the whole job in one terminal: a task, its changes, signed callbacks"),
            ("wait", "wait:wait", "follow one task here, without a daemon, and print its result"),
            ("simulate", "local:simulate", "a local upstream to try things with"),
            ("listen", "local:listen", "a local receiver that verifies signatures and prints events"),
        ),
    ),
    (
        "Run it",
        (
            ("serve", "serve:serve", "run the daemon in the foreground"),
            ("check", "check:check", "validate the configuration and say every problem"),
            ("route", "route:route", "which destinations would get an event"),
            ("secret", "local:secret", "a new signing secret, or the one this instance signs with"),
            ("providers", "providers:app", "the catalogue: how each API is asked and read"),
            ("store", "store:app", "look at the journal of a stopped daemon"),
        ),
    ),
    (
        "Talk to the daemon",
        (
            ("watch", "watch:watch", "follow tasks and be called back"),
            ("list", "read:list_", "the watches, newest first"),
            ("show", "read:show", "one watch or delivery with its history"),
            ("poll", "watch:poll", "ask the provider about a watch soon"),
            ("abandon", "watch:abandon", "stop following a task"),
            ("events", "read:events", "what happened, oldest first; --follow for what happens"),
            ("deliveries", "read:deliveries", "what was delivered, and what is still owed"),
            ("resend", "resend:resend", "send again what was delivered or given up"),
            ("destinations", "destinations:app", "how each is doing; test, pause, resume one"),
        ),
    ),
)
NAMES = tuple(name for _, commands in COMMANDS for name, _, _ in commands)


def main(tokens: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code and never a traceback (RINGBACK_DEBUG=1 shows it)."""
    try:
        code = run(sys.argv[1:] if tokens is None else tokens)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's last flush complains
        return exits.PIPE
    except Exception as error:  # noqa: BLE001 - the outermost frame: everything becomes a sentence and a code
        return fail(error)
    return code


def run(tokens: Sequence[str]) -> int:
    """The first page, the version, or a command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a result in Japanese must not end an ASCII terminal
    if not tokens or tokens[0] in ("--help", "-h"):
        print(page())
        return exits.DONE
    if tokens[0] in ("--version", "-V"):
        print(f"ringback {ringback.__version__}")
        return exits.DONE
    if tokens[0] not in NAMES:
        kind = "option" if tokens[0].startswith("-") else "command"
        print(
            f"There is no {kind} '{tokens[0]}': `ringback --help` shows what there is.{nearest(tokens[0], NAMES)}",
            file=sys.stderr,
        )
        return exits.USAGE
    return _dispatch(tokens)


def page() -> str:
    """What `ringback --help` says."""
    lines = ["ringback - a callback for every API that makes you poll", "", "Usage: ringback COMMAND [--help]"]
    for title, commands in COMMANDS:
        lines += ["", f"{title}:", *(f"  {name:<14}{line}" for name, _, line in commands)]
    return "\n".join([*lines, "", "`ringback demo` shows it working; `ringback COMMAND --help` explains a command."])


def app() -> App:
    """Every command, none of them imported yet."""
    from cyclopts import App, Parameter

    whole = App(
        name="ringback",
        help_format="plaintext",
        help_formatter="plain",
        default_parameter=Parameter(negative=()),
        version_flags=(),
        suppress_keyboard_interrupt=False,
    )
    for _, commands in COMMANDS:
        for name, place, _ in commands:
            whole.command(f"ringback.cli.{place}", name=name)
    return whole


def fail(error: Exception) -> int:
    """Say it in one sentence on stderr; returns the exit code."""
    if os.environ.get("RINGBACK_DEBUG"):
        import traceback

        traceback.print_exception(error)
    if isinstance(error, RingbackError):
        print(error.message, file=sys.stderr)
    else:
        print(
            f"This is a mistake in ringback, please report it ({type(error).__name__}: {error}); "
            "RINGBACK_DEBUG=1 shows where it happened.",
            file=sys.stderr,
        )
    return exits.code_of(error)


def _dispatch(tokens: Sequence[str]) -> int:
    from cyclopts import CycloptsError, UnusedCliTokensError

    tokens = [STDIN if word == "-" else word for word in tokens]
    whole = app()
    try:
        code = whole(tokens, exit_on_error=False, print_error=False, verbose=False, result_action="return_value")
    except CycloptsError as error:
        command = " ".join(error.command_chain or tokens[:1])
        left = isinstance(error, UnusedCliTokensError) and error.unused_tokens
        what = f"There is no place for '{left[0]}'.{nearest(left[0], whole[tokens[0]])}" if left else str(error)
        print(f"{what} `ringback {command} --help` says how.", file=sys.stderr)
        return exits.USAGE
    return code if isinstance(code, int) else exits.DONE


if __name__ == "__main__":
    sys.exit(main())
