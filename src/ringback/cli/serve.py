"""`serve`: the daemon in the foreground.

Secret: none of its own; app.py has the daemon.
"""
# ruff: noqa: PLC0415 - a command line imports what is heavy where it is needed

from __future__ import annotations

import os
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ringback.durations import duration

ConfigFile = Annotated[
    Path | None,
    Parameter(
        name="--config",
        help="the configuration; default: $RINGBACK_CONFIG, ./ringback.toml, /etc/ringback/ringback.toml, or none",
    ),
]


def serve(
    *,
    config: ConfigFile = None,
    wait_lock: Annotated[
        str | None, Parameter(help="how long to wait for another daemon to let go of the store, e.g. 30s")
    ] = None,
) -> None:
    """Run the daemon in the foreground, until Ctrl-C or SIGTERM; SIGHUP reads the configuration again.

    Example: `ringback serve --config ringback.toml`
    """
    from ringback import config as configuration
    from ringback import eventloop, telemetry
    from ringback.app import App

    patience = duration(wait_lock) if wait_lock is not None else timedelta()
    load = partial(configuration.load, config, os.environ)
    settings = load()
    telemetry.configure(as_json=not sys.stderr.isatty())
    eventloop.run(App(settings, load=load, wait_lock=patience).run())
