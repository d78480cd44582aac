"""Who asks: the gate in front of every path.

    tokens configured    Authorization: Bearer, compared in constant time
    none, on loopback    everybody who can connect is an administrator, but no web page: Host and Origin are checked
    none, beyond         nobody comes in

Secret: what makes somebody somebody. /healthz and /readyz are open; nothing else is.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ringback.core.errors import Forbidden
from ringback.registration import ADMIN, Caller
from ringback.web import problems
from ringback.web.parts import Parts, Token, parts_of
from ringback.web.problems import Unauthorized

OPEN = frozenset({"/healthz", "/readyz"})
LOOPBACK_HOST = re.compile(r"(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?")
OWN_PAGES = (None, "none", "same-origin")
"""`sec-fetch-site` of what no foreign page can send; programs send none at all."""


class Gate:
    """ASGI middleware that decides on `scope["path"]`, which is what the routes see, and on nothing else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass with its caller, or refuse it."""
        if scope["type"] == "http" and scope["path"] not in OPEN:
            try:
                caller = admitted(Headers(scope=scope), parts_of(scope["app"]))
            except (Unauthorized, Forbidden) as error:
                await problems.answer_to(error)(scope, receive, send)
                return
            scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)


def admitted(headers: Headers, parts: Parts) -> Caller:
    """Who asks. Raises Unauthorized, Forbidden."""
    tokens = parts.tokens()
    if tokens:
        return _bearer(headers.get("authorization", ""), tokens)
    if not parts.loopback:
        raise Unauthorized("no token is configured: add [tokens.NAME] with a secret to the configuration")
    _check_no_web_page_asks(headers)
    return ADMIN


def _bearer(authorization: str, tokens: Collection[Token]) -> Caller:
    scheme, _, rest = authorization.partition(" ")
    given = rest.strip().encode("latin-1")
    if scheme.lower() != "bearer" or not given:
        raise Unauthorized("a token is needed: send the header 'Authorization: Bearer TOKEN'")
    found: Caller | None = None
    for token in tokens:  # all of them, so that the time taken tells nothing
        if hmac.compare_digest(token.secret.encode(), given):
            found = token.caller
    if found is None:
        raise Unauthorized("this token is not (or no longer) configured: see [tokens] in the configuration")
    return found


def _check_no_web_page_asks(headers: Headers) -> None:
    """A page in a browser on this machine reaches loopback too, by a name of its own (rebinding) or across sites."""
    host = headers.get("host", "").lower()
    if LOOPBACK_HOST.fullmatch(host) is None:
        raise Forbidden(
            f"without a token only loopback names are served, not '{host}': ask for 127.0.0.1 or localhost,"
            " or add [tokens.NAME] to the configuration",
            code="foreign_host",
        )
    origin = headers.get("origin")
    if origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}"):
        raise Forbidden(
            "without a token no foreign web page is served: add [tokens.NAME] to the configuration",
            code="foreign_origin",
            origin=origin,
        )
    if headers.get("sec-fetch-site") not in OWN_PAGES:
        raise Forbidden(
            "without a token no foreign web page is served: add [tokens.NAME] to the configuration",
            code="foreign_origin",
        )
