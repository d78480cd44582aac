"""What was learned of how long tasks take lasts: through a crash, a restart, and the end of what taught it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from ringback.simulator import Options, Simulator
from tests.acceptance.conftest import KEY, Process

PROVIDER = "/v1/providers/302ai-browser"


async def test_what_was_learned_survives_every_end(tmp_path, receiver):
    """A dozen tasks; killed, started, stopped in order, started: the same law, though no watch is kept any more."""
    async with Simulator(Options(key=KEY, duration=timedelta(milliseconds=400))) as upstream:
        daemon = Process(tmp_path, upstream.url, {})
        daemon.configure(store=f'url = "json:{tmp_path}/data"\nretain = "0s"')
        try:
            await daemon.start()
            watches = await asyncio.gather(*(daemon.register(f"t-{number}") for number in range(12)))
            await asyncio.gather(*(daemon.until_final(watch["id"]) for watch in watches))
            before = (await daemon.get(PROVIDER))["learned"]
            assert [known["account"] for known in before] == ["302ai"]
            assert 0.2 < before[0]["median_s"] < 10
            for end in (daemon.kill, daemon.stop):
                await end()
                await daemon.start()
                await daemon.said("store.pruned")
                assert (await daemon.get(PROVIDER))["learned"] == before
                assert await daemon.all("/v1/watches") == []
        finally:
            await daemon.close()
