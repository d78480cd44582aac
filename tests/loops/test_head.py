"""Heads of answers: what they say, and which are none."""

import pytest

from ringback.head import LINES, BadHead, Head, read

GOOD = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: a \r\n\r\n", (200, 2, False, True)),
    "none": (b"HTTP/1.1 200 OK\r\n\r\n", (200, None, False, False)),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", (200, None, True, True)),
    "close": (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n", (200, 2, False, False)),
    "old": (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n", (200, 2, False, False)),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", (204, 0, False, True)),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 500\r\n\r\n", (304, 0, False, True)),
    "no reason": (b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\n", (200, 2, False, True)),
    "bare line feeds": (b"HTTP/1.1 200 OK\ncontent-length: 2\n\n", (200, 2, False, True)),
    "as many lines as may be": (b"HTTP/1.1 204 OK\r\n" + b"x: y\r\n" * LINES + b"\r\n", (204, 0, False, True)),
}
BAD = {
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "another protocol": b"RTSP/1.0 200 OK\r\n\r\n",
    "a later version": b"HTTP/3.0 200 OK\r\n\r\n",
    "no colon": b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
    "space before the colon": b"HTTP/1.1 200 OK\r\nx : y\r\n\r\n",
    "a folded line": b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\n\r\n",
    "NUL": b"HTTP/1.1 200 OK\r\nx: \0\r\n\r\n",
    "a length that is none": b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
    "a length below nothing": b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n",
    "a length beyond counting": b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n",
    "two lengths in one": b"HTTP/1.1 200 OK\r\ncontent-length: 2, 3\r\n\r\n",
    "a length and chunks": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n",
    "chunks and a length": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n",
    "packed, in chunks": b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
    "chunks of nobody knows what": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, identity\r\n\r\n",
    "chunks twice": b"HTTP/1.1 200 OK\r\n" + b"transfer-encoding: chunked\r\n" * 2 + b"\r\n",
    "another coding": b"HTTP/1.1 200 OK\r\ntransfer-encoding: xchunked\r\n\r\n",
    "a change of protocol": b"HTTP/1.1 101 Switching\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
    "too many lines": b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * (LINES + 1) + b"\r\n",
}


@pytest.mark.parametrize("head", GOOD)
def test_what_a_head_says(head):
    """Its status, where the body ends, and whether the connection stays."""
    raw, expected = GOOD[head]
    said = read(raw)
    assert (said.status, said.length, said.chunked, said.stays) == expected


@pytest.mark.parametrize("head", BAD)
def test_what_is_no_head_is_refused(head):
    """Where two readers might read differently, nothing is read."""
    with pytest.raises(BadHead):
        read(BAD[head])


def test_lines_come_as_they_were():
    """In order, repeated ones too, without the space at their ends."""
    said = read(b"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nx:\r\nset-cookie:\tb \t\r\ncontent-length: 0\r\n\r\n")
    assert said.headers == [(b"Set-Cookie", b"a"), (b"x", b""), (b"set-cookie", b"b"), (b"content-length", b"0")]


@pytest.mark.parametrize("status", [100, 103])
def test_an_answer_may_still_be_to_come(status):
    """Interim answers say so."""
    said = read(b"HTTP/1.1 %d Wait\r\nlink: </a>\r\n\r\n" % status)
    assert isinstance(said, Head)
    assert said.interim
