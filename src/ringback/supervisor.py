"""Talking to the service manager: ready, stopping, still alive.

Secret: systemd's notification protocol (sd_notify(3)): one datagram a message to the socket that NOTIFY_SOCKET names.
Without that variable nobody listens, and nothing is sent.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from datetime import timedelta


class Supervisor:
    """The service manager that started us, if any."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        for_us = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        asked = environ.get("WATCHDOG_USEC", "") if for_us else ""
        self._watchdog = timedelta(microseconds=int(asked)) if asked.isdigit() else None

    @property
    def watchdog_every(self) -> timedelta | None:
        """How often it wants to hear that we are alive: thrice in its limit. None when it does not ask."""
        return self._watchdog / 3 if self._watchdog is not None and self._address else None

    def ready(self, status: str) -> None:
        """Start-up, or a reload, is finished."""
        self._send(f"READY=1\nSTATUS={status}")

    def reloading(self, monotonic_us: int) -> None:
        """A reload has begun."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={monotonic_us}")

    def stopping(self) -> None:
        """Shutdown has begun."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Both loops make progress."""
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        name = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
            connection.connect(name)
            connection.sendall(message.encode())
