"""A local upstream: it speaks the dialect of any preset, so that everything can be tried without a vendor.

`Simulator` is a real HTTP/1.1 server. Its tasks move by themselves (`Options`), or give the answers of a script.

    async with Simulator() as upstream:
        upstream.script("t-1", [{"status": "running"}, Reply(status=503), {"status": "finished", "result": "42"}])
        ...                                    # point base_url at upstream.url
        await upstream.polled("t-1", 3)

Secret: none of its own.

    wire.py       HTTP                        routes.py     which request is which of a preset's
    upstream.py   tasks, faults, scripts      dialect.py    what a vendor answers
    world.py      how tasks live and end      sayings.py    how an answer says it      planting.py   reading backwards
"""

from __future__ import annotations

from ringback.simulator.upstream import Simulator
from ringback.simulator.wire import Reply, Request
from ringback.simulator.world import Options

__all__ = ["Options", "Reply", "Request", "Simulator"]
