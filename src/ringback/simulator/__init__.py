"""A local upstream: it speaks a vendor's dialect, so that everything can be tried without the vendor.

`Simulator` is a real HTTP/1.1 server. Its tasks move by themselves (`Options`), or give the answers of a script.

    async with Simulator() as upstream:
        upstream.script("t-1", [{"status": "running"}, Reply(status=503), {"status": "finished", "result": "42"}])
        ...                                    # point base_url at upstream.url
        await upstream.polled("t-1", 3)

Secret: none of its own. upstream.py has the routes and the faults, browser.py how a browser task moves, wire.py HTTP.
"""

from __future__ import annotations

from ringback.simulator.browser import Options, envelope, shown
from ringback.simulator.upstream import Simulator
from ringback.simulator.wire import Reply, Request

__all__ = ["Options", "Reply", "Request", "Simulator", "envelope", "shown"]
