"""A chunked body, whole and in every kind of pieces."""

import pytest

from ringback.chunks import TINY_ONES, BadChunk, Chunks

GOOD = {
    "one": (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    "several": (b"5\r\nhello\r\n1\r\n \r\nA\r\n0123456789\r\n0\r\n\r\n", b"hello 0123456789"),
    "none": (b"0\r\n\r\n", b""),
    "extension": (b"3;name=value\r\nabc\r\n0;last\r\n\r\n", b"abc"),
    "trailers": (b"3\r\nabc\r\n0\r\nx-a: 1\r\nx-b: 2\r\n\r\n", b"abc"),
    "line ends in it": (b"6\r\na\r\nb\r\n\r\n0\r\n\r\n", b"a\r\nb\r\n"),
    "leading zeros": (b"0003\r\nabc\r\n000\r\n\r\n", b"abc"),
    "space after the size": (b"3 \r\nabc\r\n0\r\n\r\n", b"abc"),
}
BAD = {
    "no size": b"\r\nabc",
    "not hexadecimal": b"zz\r\nabc",
    "signed": b"-3\r\nabc",
    "prefixed": b"0x3\r\nabc",
    "too long a size": b"1" * 16 + b"\r\n",
    "endless line": b"3;" + b"x" * 2000,
    "more than announced": b"3\r\nabcd\r\n0\r\n\r\n",
    "less than announced": b"4\r\nabc\r\n0\r\n\r\n",
    "bare line feeds": b"3\nabc\n0\n\n",
    "endless trailers": b"0\r\n" + b"x: y\r\n" * 20_000,
}


def _fed(raw, size):
    """The chunks, and the body that the pieces bring."""
    chunks = Chunks()
    return chunks, b"".join([chunks.fed(raw[start : start + size]) for start in range(0, len(raw), size)])


@pytest.mark.parametrize("body", GOOD)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_the_frames_come_off(body, size):
    """However it is cut into pieces, the body is the same."""
    raw, expected = GOOD[body]
    chunks, found = _fed(raw, size)
    assert found == expected
    assert (chunks.over, chunks.excess) == (True, False)


@pytest.mark.parametrize("body", BAD)
@pytest.mark.parametrize("size", [1, 1_000_000])
def test_what_is_no_chunk_is_refused(body, size):
    """Where two readers might read differently, nothing is read."""
    with pytest.raises(BadChunk):
        _fed(BAD[body], size)


@pytest.mark.parametrize("body", GOOD)
def test_a_part_is_not_the_whole(body):
    """Without its last byte no body is over."""
    chunks = Chunks()
    chunks.fed(GOOD[body][0][:-1])
    assert not chunks.over


def test_what_follows_is_noticed():
    """It is no part of the body."""
    chunks = Chunks()
    assert chunks.fed(b"2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n") == b"ok"
    assert (chunks.over, chunks.excess) == (True, True)


def test_many_small_chunks_are_read_in_one_pass():
    """A hundred thousand chunks of eight bytes in one piece: nothing is copied again and again."""
    chunks = Chunks()
    assert len(chunks.fed(b"8\r\nabcdefgh\r\n" * 100_000 + b"0\r\n\r\n")) == 800_000


def test_chunks_of_next_to_nothing_without_end_are_refused():
    """In one piece they would hold up the loop; some servers write a few such, and those are read."""
    assert len(Chunks().fed(b"1\r\nx\r\n" * TINY_ONES)) == TINY_ONES
    with pytest.raises(BadChunk):
        Chunks().fed(b"1\r\nx\r\n" * (TINY_ONES + 1))
