"""A preset from the vendor's side: what its vendor answers to each of its requests.

Secret: which answer follows from a task's stage. What an answer says is in sayings.py, which request it is in
routes.py. Pure: time and chance come in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from ringback.core.errors import BadInput
from ringback.core.model import Answer
from ringback.providers.asking import Request as Asking
from ringback.providers.auth import Query
from ringback.providers.base import Ask
from ringback.providers.paths import MISSING
from ringback.providers.preset import Preset
from ringback.providers.submit import Place, Submit
from ringback.providers.template import ANSWER, PARAM, Values
from ringback.simulator.planting import plant
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

    def check(self) -> list[str]:
        """What it cannot say as the options want it. Raises BadInput when it cannot tell of a task at all."""
        id, rules = self.preset.about.id, self.preset.spec.read.rules
        for state in ("running", "succeeded"):
            if not any(map(self.sayings.of, _INSTEAD[state])):
                tried = ", or ".join(rule.when.text for rule in rules if rule.becomes == state)
                raise BadInput(
                    f"{id} cannot be simulated: no answer could be made up that says {state}"
                    + (f", where {tried} has to hold" if tried else "")
                    + "; name the presets to speak with --preset"
                )
        if not self._tells_of_many():
            raise BadInput(
                f"{id} cannot be simulated: no answer could be made up that tells of several tasks by its [batch]; "
                "name the presets to speak with --preset"
            )
        sorry = [rule.when.text for rule in rules if rule.of == "succeeded" and rule.becomes in ("failed", "cancelled")]
        remarks = []
        if self._options.unsuccessful and sorry and not self.sayings.of(UNSUCCESSFUL):
            remarks.append(
                f"{id}: no answer could be made up where {sorry[0]} holds: its unsuccessful tasks simply fail"
            )
        if not self._tells_an_id():
            remarks.append(f"{id}: no answer to a submission could be made up: ask about any id instead")
        return remarks

    def _tells_of_many(self) -> bool:
        if self.preset.spec.batch is None:
            return True
        document = self.batch({"t": Stage("succeeded", 1.0, 1)}, [], "http://x.test").body
        found = self.preset.split(Answer(status=200, body=msgspec.json.encode(document)), ["t"])
        return "t" in found and self.preset.read(found["t"], "t").state == "succeeded"

    def _tells_an_id(self) -> bool:
        if self.preset.spec.submit is None:
            return True
        _, reply = self.accepted("t", {}, "http://x.test")
        answer = Answer(status=reply.status, headers=reply.headers, body=msgspec.json.encode(reply.body))
        try:
            return bool(self.preset.submitted(answer).task_id)
        except BadInput:
            return False

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
            within = spec.within.find(document) if spec.within is not None else MISSING
            items[task_id] = document if within is MISSING else within
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

    def accepted(self, id: str, found: Found, base_url: str) -> tuple[str, Reply]:
        """What a new task is called, and the answer to its submission."""
        submit = self.preset.spec.submit
        assert submit is not None, "only a preset with [submit] has this route"
        remembered = {name: self._remembered(name, id, found, base_url) for name in submit.remember}
        params = {**_params(found), **remembered}
        named = _named(id, submit, params)
        task_id = submit.id.taken(named) or id
        values = Values(task_id=task_id, params=params)
        brought = [(submit.id, self._id_or_url(task_id, base_url))]
        brought += [(place, remembered[name]) for name, place in submit.remember.items()]
        document: Any = self.sayings.good({})
        headers: dict[str, str] = {}
        texts = [named, *self._asked_at(values, base_url)]
        for place, value in brought:
            text = next((text for text in (value, *texts) if place.taken(text) == value), _holding(place, value))
            if place.header is not None:
                headers.setdefault(place.header, text)
            elif place.at is not None and place.at.find(document) in (None, MISSING):
                document = plant(document, place.at.each[0].text, text)
        return task_id, Reply(body=document, headers=headers)

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
        saying, second = self._saying(task_id, stage), self.preset.spec.result
        told = Told(
            task_id=task_id,
            step=stage.step,
            steps=self._options.steps,
            share=stage.share,
            result=self._made(task_id, self.preset.spec.read.result.text if self.preset.spec.read.result else ""),
            reason=REASONS.get(saying.state, ""),
            values=self._places_of_result(task_id, base_url) if saying.state == "succeeded" else {},
            holds=second.when if second is not None and saying.state == "succeeded" else None,
        )
        return self.sayings.answer(saying, told)

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

    def _remembered(self, name: str, id: str, found: Found, base_url: str) -> str:
        """A URL to ask at, what was submitted with, or made-up text."""
        ask: Asking = self.preset.spec.ask
        if ask.url is not None and f"{PARAM}{name}" in ask.url.names:
            return base_url + own_path("poll", self.preset, id)
        return str(found.get(f"{PARAM}{name}") or f"{name}-of-{id}")

    def _asked_at(self, values: Values, base_url: str) -> list[str]:
        """Where the task is asked about: as a URL, and its path alone."""
        ask: Asking = self.preset.spec.ask
        try:
            path = ask.path.path(values) if ask.path is not None else ""
        except BadInput:
            return []
        return [base_url + path, path]

    # ------------------------------------------------------------------ who may ask

    def admits(self, request: Request, key: str) -> bool:
        """Whether a request carries the credential as the preset's [auth] would have put it there."""
        auth = self.preset.spec.auth
        return any(_carries(kind, request, key) for kind in getattr(auth, "kinds", (auth,)))


def _params(found: Found) -> dict[str, str]:
    return {name.removeprefix(PARAM): str(value) for name, value in found.items() if name.startswith(PARAM)}


def _named(id: str, submit: Submit, params: Mapping[str, str]) -> str:
    """A name of which the preset takes the id and the params that stand in it: `projects/P/locations/L/ID`."""
    beside = (submit.id.at, submit.id.header)
    within = [
        (place, params[name])
        for name, place in submit.remember.items()
        if place.match is not None and (place.at, place.header) == beside
    ]
    named = "".join(_holding(place, value) for place, value in (*within, (submit.id, id))).replace("//", "/")
    return named if all(place.taken(named) == value for place, value in within) else id


def _holding(place: Place, value: str) -> str:
    """The place's expression with the value in its group."""
    if place.match is None:
        return value
    return _GROUP.sub(lambda _: value, place.match.text.strip("^$"), count=1)


_GROUP = re.compile(r"\([^()]*\)")

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
