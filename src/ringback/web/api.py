"""Face 1, the HTTP API: put together here.

    request --> Shield --> Gate --> route --> intake or store --> shape --> JSON
                headers    caller   watches.py, deliveries.py, destinations.py, feeds.py, health.py, metrics.py

Secret: the order of the layers.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

import ringback
from ringback.web import deliveries, destinations, feeds, health, metrics, openapi, problems, watches
from ringback.web.auth import Gate
from ringback.web.health import Readiness
from ringback.web.parts import Parts, Token
from ringback.web.shield import Shield
from ringback.web.waits import Waits

__all__ = ["Parts", "Token", "create"]

ROUTERS = (
    watches.router,
    feeds.router,
    deliveries.router,
    destinations.router,
    health.router,
    metrics.router,
)
ABOUT = "A callback for every API that makes you poll. Errors are RFC 9457 problems with a stable `code`."


def create(parts: Parts) -> FastAPI:
    """The API as an ASGI application. `app.state.parts` may be replaced while it runs."""
    app = FastAPI(
        title="ringback",
        version=ringback.__version__,
        description=ABOUT,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.parts = parts
    app.state.waits = Waits()
    app.state.readiness = Readiness()
    parts.store.listen(app.state.waits.note)
    for router in ROUTERS:
        app.include_router(router)
    app.state.routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    problems.install(app)
    app.add_middleware(Gate)
    app.add_middleware(Shield)  # added last: the outermost
    _describe_once(app)
    return app


def _describe_once(app: FastAPI) -> None:
    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = openapi.describe(app)
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]  # the way FastAPI documents
