"""Disguises undone and base64 opened, with places that lead back; and what is not covered, said."""

import base64
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.gateway.firewall_rules import View
from ciyuan.gateway.firewall_views import OUTSIDE, RUN_BYTES_MAX, disguises, fold, may_be_disguised, unpack
from tests.gateway.firewalls import SCRAPS, VALUES, found, hard_texts, masked, masking

PHONE, KEY_ID = "13812345678", "AKIAQWERTYUIOPASDFGH"


def read(text: str) -> str:
    return fold(b"\n" + text.encode("utf-8", "replace"), OUTSIDE).data[1:].decode("utf-8", "replace")


@pytest.mark.parametrize(
    "disguised",
    [
        "１３８１２３４５６７８", "138\u200b1234\u200d5678", "1\u00ad38\ufeff12345678", "1３8１2３4５6７8", "①③⑧①②③④⑤⑥⑦⑧",
        "𝟏𝟑𝟖𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖", "١٣٨١٢٣٤٥٦٧٨", "१३८१२३४५६७८", "¹³⁸12345678".replace("¹³", "13"), r"\u0031\u00338\x312345678",
        r"\n13812345678",
        r"\"13812345678\"", "%31%33%3812345678", "&#49;&#x33;812345678", "138\ufe0f12345678", r"138\u200b12345678",
            r"\uff1138\u0031\u00322345678"[:6] + "3812345678",
        r"\ud835\udfcf3812345678",
    ],
)  # fmt: skip
def test_a_telephone_number_is_found_however_it_is_written(disguised):
    assert {one.label for one in found(masking(), f"call {disguised} now")} == {"PHONE"}
    assert "345678" not in read(masked(masking(), f"call {disguised} now"))


@pytest.mark.parametrize(
    "disguised",
    [
        "ＡＫＩＡＱＷＥＲＴＹＵＩＯＰＡＳＤＦＧＨ", "AKIA\u200bQWERTYUIOPASDFGH", r"\u0041KIAQWERTYUIOPASDFGH",
        "%41KIAQWERTYUIOPASDFGH",
        "".join(chr(0xE0000 + ord(letter)) for letter in KEY_ID),
    ],
)  # fmt: skip
def test_a_key_too(disguised):
    assert [one.rule for one in found(masking(), f"= {disguised};")] == ["aws-access-key"]


@pytest.mark.parametrize("shift", range(4))
@pytest.mark.parametrize("url", [False, True])
def test_base64_is_opened_at_every_alignment(shift, url):
    inner = f'{"é" * shift}{{"key": "{KEY_ID}", "to": "{PHONE}"}}'
    packed = (base64.urlsafe_b64encode if url else base64.b64encode)(inner.encode()).decode()
    findings = found(masking(), f"data: {packed}, {'x' * shift}/{packed}")
    assert {one.rule for one in findings} == {"aws-access-key", "cn-mobile"}
    assert {one.view for one in findings} == {View.BASE64}
    assert (findings[0].start, findings[0].end) == (6, 6 + len(packed))


def test_a_run_of_the_most_letters_is_opened_and_a_longer_one_said():
    inner = KEY_ID + " " + "plain words go on and on " * 200
    packed = base64.b64encode(inner.encode()).decode()
    assert {one.rule for one in found(masking(), packed[:RUN_BYTES_MAX])} == {"aws-access-key"}
    assert {one.rule for one in found(masking(), packed[: RUN_BYTES_MAX + 4])} == {"base64-long"}


@pytest.mark.parametrize(
    "covert",
    [
        "АKIAQWERTYUIOPASDFGH",  # a Cyrillic letter that only looks like A
        "A-K-I-A-Q-W-E-R-T-Y-U-I-O-P-A-S-D-F-G-H",
        KEY_ID[::-1],
        KEY_ID.encode().hex(),
        base64.b32encode(KEY_ID.encode()).decode(),
        base64.b64encode(base64.b64encode(KEY_ID.encode())).decode(),
        base64.b64encode(b"k=13812345678").decode(),
        r"\\u0041KIAQWERTYUIOPASDFGH",
        "one three eight one two three four five six seven eight",
        "tel13812345678",
    ],
)
def test_what_is_not_covered_is_known(covert):
    assert found(masking(), covert) == ()


@given(hard_texts())
def test_places_lead_back(text):
    data = b"\n" + text.encode("utf-8", "replace")
    folded = fold(data, OUTSIDE)
    spans = [found.span() for found in disguises(data)]
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    starts = [folded.start(place) for place in range(1, len(folded.data))]
    assert starts == sorted(starts)
    for place in range(1, len(folded.data)):
        origin = folded.start(place)
        if not any(start <= origin < end for start, end in spans):
            assert data[origin] == folded.data[place]
        assert folded.end(place + 1) > origin


@given(hard_texts(), st.sampled_from(b"\na%"))
def test_what_cannot_be_disguised_is_folded_into_itself(text, left):
    data = b"%" + text.encode("utf-8", "replace")
    folded = fold(data, left)
    if not may_be_disguised(data, left):
        assert (folded.data, folded.edges, folded.origin_edges) == (data, [], [])
    if left != data[0] or any(disguises(data)):
        assert may_be_disguised(data, left)


@given(st.lists(st.sampled_from(VALUES + SCRAPS), max_size=8).map("".join))
def test_what_was_undone_once_and_has_no_more_layers_stays(text):
    once = read(text)
    if not any(disguises(b"\n" + once.encode("utf-8", "replace"))):
        assert read(once) == once


@given(st.binary(min_size=18, max_size=300), st.integers(0, 3))
def test_unpacked_ascii_is_what_was_packed(inner, shift):
    inner = bytes(32 + byte % 95 for byte in inner)
    run = b"-" * shift + base64.b64encode(inner).rstrip(b"=")
    assert any(
        inner[: len(inner) // 3 * 3] in (packed.data or b"")
        for packed in unpack(b"\n" + run, 1, 1 + len(run))
    )
