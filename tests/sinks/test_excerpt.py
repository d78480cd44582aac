"""What is kept of an answer: little, printable, and without secrets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.sinks.excerpt import (
    KEPT_AT_MOST,
    MASK,
    READ_AT_MOST,
    Hidden,
    excerpt,
    of_header,
    of_secret,
    of_url,
    printable,
)
from tests.sinks.samples import SECRET

TOKEN = "abcd/EFGH+ijkl"
HIDDEN = Hidden([TOKEN])


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b"", None),
        (b"\x00\x1b", None),
        (b"ok", "ok"),
        ("終わり\n\tdone".encode(), "終わり\n\tdone"),
        (b"a\x00b\x1b[31mred\x7f\r\n", "ab[31mred\n"),
        ("C1\x9b31m".encode(), "C131m"),
        (b"half \xe7\xb5", "half \N{REPLACEMENT CHARACTER}"),
    ],
)
def test_what_is_kept_can_be_printed(body, kept):
    """No terminal escapes, no NUL; newline and tab stay; what is not UTF-8 is marked."""
    assert excerpt(body, Hidden([])) == kept


@pytest.mark.parametrize("character", ["a", "終", "😀"])
def test_four_kib_are_kept(character):
    """Counted in bytes, and no character is cut in two."""
    kept = excerpt((character * 5000).encode(), Hidden([]))
    assert KEPT_AT_MOST - 4 < len(kept.encode()) <= KEPT_AT_MOST
    assert set(kept) == {character}


@pytest.mark.parametrize(
    "spelling",
    [TOKEN, "abcd\\/EFGH+ijkl", "abcd%2FEFGH%2Bijkl", "abcd/EF\x00GH+ijkl"],
    ids=["as it is", "PHP's JSON", "percent-encoded", "with a NUL inside"],
)
def test_a_secret_is_masked_in_every_spelling(spelling):
    """However the receiver writes it."""
    assert excerpt(f"token={spelling}!".encode(), HIDDEN) == f"token={MASK}!"


@pytest.mark.parametrize("size", [KEPT_AT_MOST, READ_AT_MOST])
@pytest.mark.parametrize("shown", range(1, len(TOKEN)))
def test_no_half_of_a_secret_is_left_at_a_cut(size, shown):
    """Neither where the excerpt ends nor where reading stopped."""
    body = (b"." * (size - shown) + TOKEN.encode() + b"." * 10)[:READ_AT_MOST]
    assert "abc" not in excerpt(body, HIDDEN)
    assert "a" not in excerpt(body, HIDDEN)


def test_masking_that_shortens_leaves_no_half_either():
    """An answer full of secrets shrinks below the limit: its last, halved one is dropped all the same."""
    body = (TOKEN.encode() * 2000)[: READ_AT_MOST - 3]
    assert len(body) % len(TOKEN) != 0
    full = (TOKEN.encode() * 2000)[:READ_AT_MOST]
    assert set(excerpt(full, HIDDEN)) == {"*"}


def test_the_longest_secret_goes_first():
    """A secret inside another one does not leave the rest of the larger."""
    assert Hidden(["token", "token-and-more"]).mask("token-and-more token") == f"{MASK} {MASK}"


def test_what_is_too_short_to_be_a_secret_stays():
    """A header `X-Env: dev` does not spoil every answer."""
    assert Hidden(["dev", ""]).mask("developers") == "developers"


def test_a_url_is_secret_but_for_its_origin():
    """Path, query, long segments and values, encoded and decoded; the host and plain words may be seen."""
    hidden = Hidden(of_url("https://hooks.example.org/hooks/T0AB12CD34/x?key=s%2Fcret"))
    seen = hidden.mask("hooks.example.org hooks T0AB12CD34 s/cret s%2Fcret /hooks/T0AB12CD34/x?key=s%2Fcret")
    assert seen == f"hooks.example.org hooks {MASK} {MASK} {MASK} {MASK}"


def test_a_url_is_secret_in_either_spelling():
    """Servers decode a path before they complain of it."""
    hidden = Hidden(of_url("https://example.org/to%2Fken%20of-mine"))
    assert hidden.mask("no such page: /to/ken of-mine, /to%2Fken%20of-mine") == f"no such page: {MASK}, {MASK}"


@pytest.mark.parametrize("url", ["https://example.org", "https://example.org/"])
def test_a_url_without_a_path_hides_nothing(url):
    """A single slash is no secret."""
    assert Hidden(of_url(url)).longest == 0


def test_pieces_of_headers_and_secrets_are_secret_too():
    """The token after `Bearer`, the key after `whsec_`."""
    hidden = Hidden([*of_header("Bearer tok-12345"), *of_secret(SECRET)])
    assert hidden.mask(f"tok-12345, Bearer tok-12345, {SECRET}, {SECRET[6:]}") == ", ".join([MASK] * 4)


VISIBLE = st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="*")


@given(st.binary(max_size=200), st.text(VISIBLE, min_size=4, max_size=20))
def test_an_excerpt_never_shows_a_hidden_text(noise, secret):
    """Whatever stands around it."""
    kept = excerpt(noise + secret.encode() + noise, Hidden([secret])) or ""
    assert secret not in kept
    assert printable(kept) == kept
