"""One measurement in a process of its own, on a core of its own: `case.py MODULE.FUNCTION '{"terms": ...}'`.

Secret: none of its own.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import sys
from typing import Any

from meter import tell


async def _measured(name: str, terms: dict[str, Any]) -> None:
    module, _, function = name.partition(".")
    tell(await getattr(importlib.import_module(module), function)(**terms))
    os._exit(0)  # a rival's loop has no end of its own


def _run(name: str, terms: dict[str, Any]) -> None:
    if terms.get("loop") == "uvloop":
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_measured(name, terms))
    asyncio.run(_measured(name, terms))


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    given = json.loads(sys.argv[2])
    if "core" in given:
        os.sched_setaffinity(0, {given["core"]})
    _run(sys.argv[1], given)
