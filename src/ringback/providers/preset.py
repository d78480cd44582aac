"""A preset at work: a Provider that a Spec describes.

Secret: how the tables of a preset work together. Pure.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec.structs import replace

from ringback.core.document import digest
from ringback.core.errors import BadInput
from ringback.core.model import Answer, Observation
from ringback.providers import batch, result, submit
from ringback.providers.asking import Request, request
from ringback.providers.base import About, Ask
from ringback.providers.documents import Unreadable
from ringback.providers.reader import Reader
from ringback.providers.spec import Spec, regions
from ringback.providers.submit import Submitted
from ringback.providers.template import PARAM, UUID, HeaderTemplate, Values

_UUID = "{uuid}"


class Preset:
    """A Provider that a file describes."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.about = _about(spec)
        self._reader = Reader(spec.read, spec.limits.results_live)
        self._defaults = {name: param.default for name, param in spec.params.items() if param.default is not None}
        self._region: HeaderTemplate | None = next(iter(regions(spec.auth)), None)
        self._numbered = any(UUID in made.names for made in (spec.ask, spec.result, spec.batch) if made is not None)
        self.timeless = spec.auth.timeless and not self._numbered

    def ask(self, task_id: str, params: Mapping[str, str], base_url: str) -> Ask:
        """The request that asks about a task, without a credential. Raises BadInput for a param that cannot be used."""
        return self._made(self.spec.ask, self._values(task_id, params), base_url)

    def ask_many(self, task_ids: Sequence[str], params: Mapping[str, str], base_url: str) -> Ask:
        """The request that asks about many tasks. Raises BadInput for a param that cannot be used."""
        assert self.spec.batch is not None, "About.batch said that there is one"
        return self._made(self.spec.batch, self._values(",".join(task_ids), params), base_url, list(task_ids))

    def sign(self, ask: Ask, credentials: Mapping[str, str], now: datetime) -> Ask:
        """The same request with the account's credential. Raises BadInput for one that is missing or broken."""
        if self._numbered:
            ask = _with_uuid(ask, now)
        return self.spec.auth.sign(ask, credentials, now)

    def read(self, answer: Answer, task_id: str | None) -> Observation:
        """What an answer says about the task; with None, about whichever task it names."""
        return self._reader.observe(answer, task_id)

    def refusal(self, answer: Answer) -> Observation | None:
        """Why an answer about many tasks says nothing of any of them; None when it can be split."""
        return self._reader.refusal(answer)

    def split(self, answer: Answer, task_ids: Sequence[str]) -> dict[str, Answer]:
        """What each task's own answer would have been; those that it leaves out are left out."""
        assert self.spec.batch is not None, "About.batch said that there is one"
        return batch.split(self.spec.batch, answer, task_ids)

    def ask_result(
        self, seen: Observation, answer: Answer, task_id: str, params: Mapping[str, str], base_url: str
    ) -> Ask | None:
        """The second request, when the result is elsewhere. Raises BadInput when the answer does not say where."""
        second = self.spec.result
        values = self._values(task_id, params)
        if second is None or seen.state is None or not self._has_params_for(second, values):
            return None
        try:
            document = self._reader.parsed(answer.body)
        except Unreadable:
            document = None
        if not second.wanted(seen, document):
            return None
        return self._made(second, replace(values, answer=document), base_url)

    def read_result(self, seen: Observation, answer: Answer) -> Observation:
        """What was seen, with the result; or a trouble when it cannot be had just now."""
        assert self.spec.result is not None, "there was a second request"
        return result.concluded(self.spec.result, self.spec.read.problem, seen, answer)

    def submitted(self, answer: Answer) -> Submitted:
        """The id, and what to remember, of an answer to a submission. Raises BadInput."""
        if self.spec.submit is None:
            raise BadInput(f"{self.about.id} does not say how a submission is answered: give the task's id instead")
        return submit.read(self.spec.submit, self.spec.read.problem, answer)

    def _values(self, task_id: str, params: Mapping[str, str]) -> Values:
        return Values(task_id=task_id, params={**self._defaults, **params})

    @staticmethod
    def _has_params_for(second: Request, values: Values) -> bool:
        """Whoever left out what only the result is asked with gets the task followed without it."""
        return all(values.params.get(name.removeprefix(PARAM)) for name in second.names if name.startswith(PARAM))

    def _made(self, asking: Request, values: Values, base_url: str, task_ids: list[str] | None = None) -> Ask:
        if asking.path is not None and not base_url:
            base_url = self._base_url(values)
        ask = request(asking, values, base_url, task_ids)
        return replace(ask, region=self._region.header(values)) if self._region is not None else ask

    def _base_url(self, values: Values) -> str:
        if self.spec.base_url is None:
            raise BadInput(
                f"{self.about.id} has no base URL of its own: set base_url in the account's configuration",
                code="no_base_url",
            )
        return self.spec.base_url.url(values)


def _about(spec: Spec) -> About:
    """What people are told."""
    limits, base = spec.limits, spec.base_url
    described = {name: spec.params.get(name) for name in spec.needs}
    return About(
        id=spec.id.text,
        title=spec.title,
        vendor=spec.vendor.text,
        base_url=base.text if base is not None else "",
        trusted=base.text if base is not None and not base.names else "",
        source=spec.source,
        confidence=spec.confidence,
        menu=spec.menu,
        notes=spec.notes,
        hosts=tuple(str(host) for host in spec.hosts),
        credentials=tuple(map(str, spec.auth.credentials)),
        needs_account=bool(spec.auth.credentials) or (base is None and spec.ask.url is None),
        params=spec.needs,
        defaults={name: str(param.default) for name, param in described.items() if param and param.default is not None},
        identity=tuple(
            name for name, param in described.items() if param is None or (param.identity and not param.secret)
        ),
        secrets=tuple(name for name, param in described.items() if param is not None and param.secret),
        states=dict(spec.read.states),
        interval=limits.interval.span if limits.interval is not None else None,
        deadline=limits.deadline.span if limits.deadline is not None else None,
        rate=limits.rate.per_second if limits.rate is not None else None,
        body_limit=limits.body_limit,
        native_callback=spec.callback,
        batch=spec.batch.limit if spec.batch is not None else None,
        learn_by=spec.learn_by,
    )


def _with_uuid(ask: Ask, now: datetime) -> Ask:
    """A number for this request alone: one task is never asked about twice in the same microsecond."""
    number = str(uuid.UUID(digest(f"{ask!r} {now.isoformat()}".encode()), version=4))
    headers = {name: value.replace(_UUID, number) for name, value in ask.headers.items()}
    return replace(ask, headers=headers, body=ask.body and ask.body.replace(_UUID.encode(), number.encode()))
