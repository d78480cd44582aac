"""docs/how-to/verify-signatures.md: every snippet does what the page says, with a request that was really sent."""

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ringback.outbound import Outbound
from ringback.receiver import Receiver
from ringback.scheduler import SteadyClock
from ringback.sinks.webhook import WebhookSink
from tests.sinks.samples import HARD_TEXT, OLD_SECRET, SECRET, document, message, task_event

PAGE = (Path(__file__).parents[2] / "docs/how-to/verify-signatures.md").read_text(encoding="utf-8")
SNIPPETS = dict(re.findall(r"^## (.+?)\n.*?^```(?:python|js)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
PYTHON = [heading for heading in SNIPPETS if heading.startswith("Python")]
NODE = [heading for heading in SNIPPETS if heading.startswith("Node")]
LONG_AGO = "1614265330"
DRIVER = """
import { readFileSync } from "node:fs";
const results = JSON.parse(readFileSync(0)).map(({ secret, headers, body }) => {
  try {
    return verify(secret, headers, Buffer.from(body, "base64")).data.result;
  } catch (error) {
    return error.message;
  }
});
console.log(JSON.stringify(results));
"""


@pytest.fixture
async def request_():
    """A request as the sink sends it just now: headers and body."""
    clock = SteadyClock()
    outbound = Outbound()
    async with Receiver(SECRET, now=clock.now) as receiver:
        sink = WebhookSink(outbound, receiver.url, secrets=lambda: [OLD_SECRET, SECRET])
        await sink.send([message(task_event(result=document(HARD_TEXT)))], clock.now())
        (received,) = await receiver.wait_for(1)
    await outbound.aclose()
    return received.headers, received.body


def forgeries(headers, body):
    """What must not be believed: another body, an old request, a missing header, another secret."""
    unsigned = {name: value for name, value in headers.items() if name != "webhook-signature"}
    return [
        (SECRET, headers, body.replace(b"succeeded", b"failed")),
        (SECRET, headers | {"webhook-timestamp": LONG_AGO}, body),
        (SECRET, headers | {"webhook-id": "evt_other"}, body),
        (SECRET, headers | {"webhook-timestamp": "soon"}, body),
        (SECRET, unsigned, body),
        ("whsec_" + "A" * 32, headers, body),
    ]


def test_the_page_has_a_way_for_everybody():
    """By hand and with a library, in Python and in Node."""
    assert (len(PYTHON), len(NODE)) == (2, 2)


@pytest.mark.parametrize("heading", PYTHON)
async def test_the_python_snippets_verify(heading, request_):
    """They give the event for an honest request and raise for a forged one."""
    names = {}
    exec(compile(SNIPPETS[heading], heading, "exec"), names)
    for secret in (SECRET, OLD_SECRET):
        assert names["verify"](secret, *request_)["data"]["result"] == HARD_TEXT
    for secret, headers, body in forgeries(*request_):
        with pytest.raises(Exception, match=r"(?i)signed|signature|headers|timestamp"):
            names["verify"](secret, headers, body)


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_node_snippet_verifies(tmp_path, request_):
    """The one that needs nothing but node gives the event for an honest request and throws for a forged one."""
    headers, body = request_
    cases = [(SECRET, headers, body), (OLD_SECRET, headers, body), *forgeries(headers, body)]
    results = _in_node(tmp_path, SNIPPETS["Node, by hand"], cases)
    assert results[:2] == [HARD_TEXT, HARD_TEXT]
    assert all(result.startswith("not signed") for result in results[2:])


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
@pytest.mark.parametrize("heading", NODE)
def test_the_node_snippets_can_be_read(tmp_path, heading):
    """Also the one whose package is not here has no mistake in its syntax."""
    script = tmp_path / "verify.mjs"
    script.write_text(SNIPPETS[heading])
    subprocess.run([shutil.which("node"), "--check", script], check=True, timeout=60)


def _in_node(folder, snippet, cases):
    script = folder / "verify.mjs"
    script.write_text(snippet + DRIVER)
    given = [{"secret": s, "headers": h, "body": base64.b64encode(body).decode()} for s, h, body in cases]
    done = subprocess.run(
        [shutil.which("node"), script], input=json.dumps(given), capture_output=True, text=True, timeout=60, check=True
    )
    return json.loads(done.stdout)
