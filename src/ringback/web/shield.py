"""The outermost layer: what every response carries, and the last net under every request.

Secret: the security headers, and what becomes of an exception that nobody foresaw.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ringback.web import problems
from ringback.web.parts import parts_of

HEADERS: Mapping[str, str] = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}
"""On everything, unless the response says otherwise itself."""


class Shield:
    """ASGI middleware around all others."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let everything pass, and see to it that there is an answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def shielded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, shielded)
        except ClientDisconnect:
            return  # nobody is left to answer
        except Exception as error:
            if started:
                raise  # half an answer is out: the server cuts the connection, so that nobody takes it for whole
            parts_of(scope["app"]).failed(f"{scope['method']} {scope['path']}", error)
            await problems.answer_to(error)(scope, receive, shielded)
