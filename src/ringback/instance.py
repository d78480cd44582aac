"""What this instance makes for itself at first start: the secret that signs callbacks, and a token for the network.

Secret: where they are kept (files of their own in the store directory, 0600) and how they are made.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from ringback.core.errors import SetupError
from ringback.sinks import signing

CALLBACK_SECRET_FILE = "callback-secret"  # noqa: S105 - names of files
ADMIN_TOKEN_FILE = "admin-token"  # noqa: S105


def callback_secret(path: Path) -> tuple[str, bool]:
    """The secret that signs callbacks which bring none, and whether it was made just now. Raises SetupError."""
    return _kept(path, new_secret)


def admin_token(path: Path) -> tuple[str, bool]:
    """The token for an instance that listens beyond loopback and was given none. Raises SetupError."""
    return _kept(path, lambda: "rb_" + secrets.token_urlsafe(32))


def new_secret() -> str:
    """A new `whsec_` secret."""
    return signing.secret_from(secrets.token_bytes(32))


def _kept(path: Path, make: Callable[[], str]) -> tuple[str, bool]:
    """The text of the file, made and synced first when there is none. Two processes starting at once agree on one."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            _create(path, make() + "\n")
            return path.read_text().strip(), True
        text = path.read_text().strip()
    except OSError as error:
        raise SetupError(
            f"{path} cannot be read or written ({error.strerror}): give the directory to the user ringback runs as"
        ) from error
    if not text:
        raise SetupError(f"{path} is empty: delete it, and a new one is made at the next start")
    return text, False


def _create(path: Path, text: str) -> None:
    """Whole or not at all: a link to a finished file fails when the name is taken."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    finally:
        draft.unlink()
