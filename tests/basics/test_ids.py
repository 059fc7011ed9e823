"""Keys: a function of content, in the range that a ledger key may have."""

from hypothesis import assume, given
from hypothesis import strategies as st

from ciyuan.basics.ids import KEY_MAX, content_key

parts = st.lists(st.integers() | st.text(), max_size=6)


@given(parts)
def test_the_same_content_has_the_same_key(content: list[int | str]) -> None:
    assert content_key(*content) == content_key(*content)
    assert 1 <= content_key(*content) <= KEY_MAX


@given(parts, parts)
def test_other_content_has_another_key(a: list[int | str], b: list[int | str]) -> None:
    assume(a != b)
    assert content_key(*a) != content_key(*b)


def test_no_text_can_pretend_to_be_two_parts() -> None:
    assert content_key("a", "b") != content_key("a\x1fstr:b")
    assert content_key("a", "b") != content_key("astr:1:b")


def test_order_and_kind_count() -> None:
    keys = {
        content_key(1, 2),
        content_key(2, 1),
        content_key("1", 2),
        content_key(12),
        content_key("1", "2"),
        content_key(),
    }
    assert len(keys) == 6


def test_keys_are_the_same_on_every_machine() -> None:
    assert content_key("deposit", 7) == 4_307_425_140_213_040_514
