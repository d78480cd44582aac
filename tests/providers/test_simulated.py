"""Every preset from registration to the final callback: the daemon's own code, the simulated vendor, real sockets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import msgspec
import pytest
from msgspec.structs import replace

from ringback import config
from ringback.app import App
from ringback.core.model import Answer
from ringback.providers.asking import request
from ringback.providers.shelf import shipped
from ringback.providers.template import Values
from ringback.receiver import Receiver
from ringback.registration import Registration
from ringback.simulator import Options, Simulator, world
from ringback.simulator.world import Stage
from ringback.store.memory import MemoryStore

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY = "key-of-the-simulator"
TASKS = 8
OPTIONS = Options(
    duration=timedelta(milliseconds=150), jitter=0.5, fail=0.3, unsuccessful=0.2, cancel=0.2, key=KEY, strict=True
)
WITHIN_S = 60


def _settings(folder, preset, upstream):
    """An account for the preset's vendor that leads to the simulator."""
    credentials = "".join(f'{name} = "{KEY}"\n' for name in preset.about.credentials)
    path = folder / "ringback.toml"
    path.write_text(
        f'[server]\nlisten = "127.0.0.1:0"\nshutdown_grace = "1s"\n[callbacks]\nsecret = "{SECRET}"\n'
        '[polling]\ncadence = "fixed"\ninterval = "40ms"\nmin_interval = "20ms"\nmax_interval = "100ms"\n'
        f'[accounts.{preset.about.vendor}]\nbase_url = "{upstream.url}"\nrate = "unlimited"\n{credentials}'
    )
    return config.load(path, {})


def _params(names):
    return {name: f"{name}-1".replace("_", "-") for name in names}


async def _submitted(preset, upstream, client):
    """A task as the vendor's own route makes it: its id, and what the answer says to remember, which is all of it."""
    submit = preset.spec.submit
    if submit is None:
        return upstream.submit(), _params(preset.about.params)
    named = [name.removeprefix("params.") for name in submit.names if name.startswith("params.")]
    ask = request(submit, Values(params=_params(named)), upstream.url)
    ask = replace(ask, body=ask.body or b'{"prompt": "a kite"}')
    ask = preset.spec.auth.sign(ask, dict.fromkeys(preset.about.credentials, KEY), datetime.now(UTC))
    answer = await client.request(ask.method, ask.url, headers=ask.headers, content=ask.body)
    found = preset.submitted(Answer(status=answer.status_code, headers=dict(answer.headers), body=answer.content))
    assert set(found.params) == set(submit.remember)
    return found.task_id, _params(set(preset.about.params) - set(submit.remember)) | found.params


@pytest.mark.parametrize("preset", shipped().presets(), ids=lambda preset: preset.about.id)
async def test_a_task_is_followed_from_registration_to_its_callback(preset, tmp_path):
    """Success, failure and cancellation in the vendor's own words, with its credential checked on every request."""
    async with (
        httpx.AsyncClient(trust_env=False) as client,
        Simulator(OPTIONS, presets=[preset]) as upstream,
        Receiver(SECRET, now=lambda: datetime.now(UTC)) as receiver,
    ):
        app = App(_settings(tmp_path, preset, upstream), store=MemoryStore(), serve=False)
        await app.start()
        try:
            tasks = dict([await _submitted(preset, upstream, client) for _ in range(TASKS)])
            for number, (task_id, params) in enumerate(tasks.items()):
                await app.intake.register(
                    Registration(
                        provider=preset.about.id,
                        task_id=task_id,
                        params=params,
                        interval="40ms",
                        callback_url=f"{receiver.url}/{number}",
                    )
                )
            await receiver.wait_for(TASKS, within_s=WITHIN_S)
        finally:
            await app.stop()
        told = {one.data["task_id"]: one.data for one in receiver.accepted}
        assert set(told) == set(tasks)
        assert receiver.refused == []
        for task_id, data in told.items():
            _assert_it_ended_as_it_did(preset, upstream, task_id, data)


def _assert_it_ended_as_it_did(preset, upstream, task_id, data):
    """The callback says what the vendor's last answer says, with the result where there is one."""
    own = task_id.rpartition("/")[2] if "://" in task_id else task_id
    dialect = upstream._dialect(preset)
    reply = dialect.poll(own, Stage(world.fate(OPTIONS, own), 1.0, OPTIONS.steps), upstream.url)
    seen = preset.read(Answer(status=reply.status, body=msgspec.json.encode(reply.body)), None)
    assert data["state"] == seen.state.value
    assert (data["error"] is not None) == (data["state"] == "failed")
    if data["state"] == "succeeded" and (preset.spec.read.result is not None or preset.spec.result is not None):
        assert data["result"] is not None
