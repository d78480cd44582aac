"""What an HTTP status says before a preset is asked.

Secret: which statuses speak about the request rather than about the task. Pure.

    2xx                 the preset reads the body
    401, 403            unauthorized     the key is wrong, or not for this
    404                 not_found        the task is unknown there
    429                 rate_limited     too many requests
    408, 425, 5xx       unavailable      the server cannot answer just now
    anything else       rejected         the request is not liked; redirects are not followed
"""

from __future__ import annotations

from ringback.core.health import RATE_LIMITED, UNAUTHORIZED
from ringback.core.lifecycle import NOT_FOUND
from ringback.providers.base import REJECTED, UNAVAILABLE

_BY_STATUS = {
    401: UNAUTHORIZED,
    403: UNAUTHORIZED,
    404: NOT_FOUND,
    408: UNAVAILABLE,
    425: UNAVAILABLE,
    429: RATE_LIMITED,
}
_SERVER_ERRORS = 500
_SUCCESSES = range(200, 300)
_SAYS = {
    UNAUTHORIZED: "the provider refuses the key (HTTP {status}): check the account's credentials",
    NOT_FOUND: "the provider does not know the task (HTTP 404)",
    RATE_LIMITED: "the provider asks for fewer requests (HTTP 429)",
    UNAVAILABLE: "the provider cannot answer just now (HTTP {status})",
    REJECTED: "the provider does not accept the request (HTTP {status})",
}


def trouble_code(status: int) -> str | None:
    """The trouble that a status stands for; None for a success."""
    if status in _SUCCESSES:
        return None
    return _BY_STATUS.get(status) or (UNAVAILABLE if status >= _SERVER_ERRORS else REJECTED)


def sentence(code: str, status: int) -> str:
    """What a trouble is called when the vendor gives no message."""
    return _SAYS[code].format(status=status)
