"""A preset from the vendor's side: what its vendor answers to each of its requests.

Secret: which answer follows from a task's stage. What an answer says is in sayings.py, which request it is in
routes.py. Pure: time and chance come in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from ringback.core.errors import BadInput
from ringback.providers.asking import Request as Asking
from ringback.providers.auth import Query
from ringback.providers.base import Ask
from ringback.providers.preset import Preset
from ringback.providers.template import ANSWER, PARAM, Values
from ringback.simulator.planting import plant, satisfy
from ringback.simulator.routes import Found, own_path
from ringback.simulator.sayings import UNSUCCESSFUL, Saying, Sayings, Told
from ringback.simulator.wire import Reply, Request
from ringback.simulator.world import Options, Stage, chance

MADE = "result-of-"
"""What a result's own id begins with: it names the task again."""

REASONS = {
    "failed": "The model could not open the source: net::ERR_NAME_NOT_RESOLVED",
    UNSUCCESSFUL: "All steps were used without finding the answer.",
}


class Dialect:
    """One vendor, as its preset has it."""

    def __init__(self, preset: Preset, options: Options) -> None:
        self.preset = preset
        self.sayings = Sayings(preset)
        self._options = options

    def poll(self, task_id: str, stage: Stage, base_url: str) -> Reply:
        """What is said of a task at this stage of its life."""
        status, document = self._said(task_id, stage, base_url)
        return Reply(status=status, body=document)

    def batch(self, stages: Mapping[str, Stage], unknown: list[str], base_url: str) -> Reply:
        """What is said of several tasks at once, and which there are not."""
        spec = self.preset.spec.batch
        assert spec is not None, "only a preset with [batch] has this route"
        items = {}
        for task_id, stage in stages.items():
            _, document = self._said(task_id, stage, base_url)
            items[task_id] = spec.within.find(document) if spec.within is not None else document
        if spec.id is not None:
            listed: Any = [plant(item, spec.id.each[0].text, task_id) for task_id, item in items.items()]
        else:
            listed = items
        document = plant(self.sayings.good({}), spec.tasks.each[0].text, listed)
        return Reply(body=plant(document, spec.missed.each[0].text, unknown) if spec.missed is not None else document)

    def result(self, task_id: str) -> Reply:
        """The result of a task, where it is asked for by itself."""
        spec = self.preset.spec.result
        assert spec is not None, "only a preset with [result] has this route"
        return Reply(body=plant(self.sayings.good({}), spec.read.each[0].text, self._made(task_id, spec.read.text)))

    def accepted(self, task_id: str, found: Found, base_url: str) -> Reply:
        """The answer to a submission."""
        spec = self.preset.spec
        assert spec.submit is not None, "only a preset with [submit] has this route"
        document: Any = self.sayings.good({})
        headers: dict[str, str] = {}
        if spec.submit.id is not None:
            document = plant(document, spec.submit.id.each[0].text, task_id)
        if spec.submit.id_header is not None:
            headers[spec.submit.id_header] = self._id_or_url(task_id, base_url)
        for name, place in spec.submit.remember.items():
            if place.at == spec.submit.id:
                continue
            value = self._remembered(name, task_id, found, base_url)
            document = plant(document, place.at.each[0].text, value)
        return Reply(body=document, headers=headers)

    def problem(self, meaning: str, message: str, status: int) -> Reply:
        """The vendor's own error."""
        return Reply(status=status, body=self.sayings.problem(meaning, message, status))

    def task_of(self, found: Found) -> str:
        """The id of the task that a request is about."""
        ids = [found["task_id"]] if "task_id" in found else []
        ids += [str(value).removeprefix(MADE) for name, value in found.items() if name.startswith(ANSWER)]
        return str(ids[0]) if ids else ""

    # ------------------------------------------------------------------ what is said

    def _said(self, task_id: str, stage: Stage, base_url: str) -> tuple[int, Any]:
        saying = self._saying(task_id, stage)
        told = Told(
            task_id=task_id,
            step=stage.step,
            steps=self._options.steps,
            share=stage.share,
            result=self._made(task_id, self.preset.spec.read.result.text if self.preset.spec.read.result else ""),
            reason=REASONS.get(saying.state, ""),
            values=self._places_of_result(task_id, base_url) if saying.state == "succeeded" else {},
        )
        status, document = self.sayings.answer(saying, told)
        second = self.preset.spec.result
        if second is not None and second.when is not None and saying.state == "succeeded":
            document = satisfy(document, second.when.each[0].text)
        return status, document

    def _saying(self, task_id: str, stage: Stage) -> Saying:
        """The running words one after another, one of the others by chance; the next best where there is none."""
        for state in _INSTEAD[stage.state]:
            sayings = self.sayings.of(state)
            if sayings and state == "running":
                return sayings[min(int(stage.share * len(sayings)), len(sayings) - 1)]
            if sayings:
                return sayings[int(chance(self._options, "saying", task_id, state) * len(sayings))]
        raise BadInput(f"{self.preset.about.id} has no way to say that a task is {stage.state}")

    def _made(self, task_id: str, place: str) -> str:
        if "url" in place.lower() or "uri" in place.lower():
            return f"https://files.example.test/{task_id}/result.bin"
        return f"Found it: the answer of task {task_id} is “四十二” (42)."

    def _places_of_result(self, task_id: str, base_url: str) -> dict[str, str]:
        """What the second request is asked with."""
        second = self.preset.spec.result
        if second is None:
            return {}
        value = MADE + task_id
        if second.url is not None:
            value = base_url + own_path("result", self.preset, task_id)
        return {name.removeprefix(ANSWER): value for name in second.names if name.startswith(ANSWER)}

    def _id_or_url(self, task_id: str, base_url: str) -> str:
        """An API whose id is a URL is given one."""
        ask = self.preset.spec.ask
        whole = ask.url is not None and "task_id" in ask.url.names
        return base_url + own_path("poll", self.preset, task_id) if whole else task_id

    def _remembered(self, name: str, task_id: str, found: Found, base_url: str) -> str:
        """A URL to ask at, a URL that holds what was submitted with, or made-up text."""
        ask: Asking = self.preset.spec.ask
        if ask.url is not None and f"{PARAM}{name}" in ask.url.names:
            return base_url + own_path("poll", self.preset, task_id)
        params = {key.removeprefix(PARAM): value for key, value in found.items() if key.startswith(PARAM)}
        if ask.path is not None and name in params:
            return base_url + ask.path.path(Values(task_id=task_id, params=params))
        return f"{name}-of-{task_id}"

    # ------------------------------------------------------------------ who may ask

    def admits(self, request: Request, key: str) -> bool:
        """Whether a request carries the credential as the preset's [auth] would have put it there."""
        auth = self.preset.spec.auth
        return any(_carries(kind, request, key) for kind in getattr(auth, "kinds", (auth,)))


_INSTEAD = {
    "queued": ("queued", "running"),
    "running": ("running", "queued"),
    "succeeded": ("succeeded",),
    "failed": ("failed", UNSUCCESSFUL, "cancelled", "succeeded"),
    UNSUCCESSFUL: (UNSUCCESSFUL, "failed", "cancelled", "succeeded"),
    "cancelled": ("cancelled", "failed", UNSUCCESSFUL, "succeeded"),
}
"""What a vendor says that has no word for it."""


def _carries(kind: Any, request: Request, key: str) -> bool:
    """Sign the bare request once more, at the time that it says, and compare."""
    url = f"http://{request.headers.get('host', 'localhost')}{request.target}"
    if isinstance(kind, Query):
        url = re.split(r"[?&](?=[^?&]*$)", url)[0]
    region = re.search(r"Credential=[^/]+/[0-9]+/([^/]+)/", request.headers.get("authorization", ""))
    ask = Ask(
        method=request.method,
        url=url,
        headers=request.headers,
        body=request.body or None,
        region=region[1] if region is not None else "",
    )
    at = kind.signed_at(ask) or datetime.fromtimestamp(0, UTC)
    credentials = dict.fromkeys(kind.credentials, key)
    for name in ("x-amz-security-token", "x-tc-token"):
        if name in request.headers:
            credentials["session_token"] = key
    signed = kind.sign(replace(ask, headers=dict(request.headers)), credentials, at)
    target = "/" + signed.url.partition("://")[2].partition("/")[2]
    return bool(target == request.target and signed.headers == request.headers)
