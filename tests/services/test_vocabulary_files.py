"""Each form of a vocabulary's file: read, and refused with its place where it is not of that form."""

import gzip
import json
import sys
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from ciyuan.basics.errors import Malformed
from ciyuan.services.vocabulary_files import (
    CUTS,
    Cut,
    Form,
    file_counter,
    ranks_counter,
    read_packed,
    read_ranks,
    read_tekken,
    tokenizer_json_counter,
)

BYTES = {bytes([byte]): byte for byte in range(256)}
RANKS = {**BYTES, b"to": 256, b"ke": 257, b"toke": 258, b"token": 259, b" token": 260, "é".encode(): 261}
PLACE = "a vocabulary"
ranks_strategy = st.dictionaries(st.binary(min_size=1, max_size=6), st.integers(0, 2**32 - 1), max_size=20)


def lines_of(ranks):
    return b"".join(b64encode(token) + b" " + str(rank).encode() + b"\n" for token, rank in ranks.items())


def packed_of(ranks):
    entries = (
        len(token).to_bytes(2, "little") + token + rank.to_bytes(4, "little") for token, rank in ranks.items()
    )
    return len(ranks).to_bytes(4, "little") + b"".join(entries)


def tekken_of(ranks, pattern=CUTS["o200k"].pattern, special=2, beyond=()):
    entries = [{"rank": rank, "token_bytes": b64encode(token).decode()} for token, rank in ranks.items()]
    config = {
        "pattern": pattern,
        "default_vocab_size": len(ranks) + special,
        "default_num_special_tokens": special,
    }
    return json.dumps({"config": config, "vocab": [*entries, *beyond]}).encode()


def test_a_tokenizer_json_counts_and_its_marks_are_not_counted():
    engine = Tokenizer(BPE({"a": 0, "b": 1, "ab": 2, "Ġ": 3}, [("a", "b")]))
    engine.pre_tokenizer = ByteLevel(add_prefix_space=False)
    engine.add_special_tokens(["<s>"])
    engine.enable_truncation(2)
    engine.enable_padding(length=9)
    count = tokenizer_json_counter(engine.to_str().encode(), PLACE)
    assert [count(text) for text in ("", "ab", "abab ab", "<s>a")] == [0, 1, 4, 2]


def test_what_is_no_tokenizer_json_is_malformed():
    for data in (b"", b"{}", b"\xff\xfe", json.dumps({"model": {"type": "none"}}).encode()):
        with pytest.raises(Malformed, match=r"a vocabulary: .*tokenizer\.json"):
            tokenizer_json_counter(data, PLACE)


@given(ranks=ranks_strategy)
def test_ranks_are_read_in_lines_and_packed_and_compressed(ranks):
    assert read_ranks(lines_of(ranks), PLACE) == ranks
    assert read_ranks(gzip.compress(lines_of(ranks)), PLACE) == ranks
    assert read_packed(packed_of(ranks), PLACE) == ranks


def test_empty_lines_are_passed_over():
    assert read_ranks(b"\nIQ== 0\n\n", PLACE) == {b"!": 0}


@pytest.mark.parametrize("line", [b"IQ==", b"IQ== x", b"I*== 1", b"IQ== 1 2", b"<html>"])
def test_a_line_that_is_none_is_named(line):
    with pytest.raises(Malformed, match="line 2"):
        read_ranks(b"IQ== 0\n" + line, PLACE)


def test_a_torn_file_is_malformed():
    whole = packed_of(RANKS)
    for data in (whole[:-1], whole + b"x", whole[:5]):
        with pytest.raises(Malformed, match="a vocabulary"):
            read_packed(data, PLACE)
    with pytest.raises(Malformed, match="a whole gzip file"):
        read_ranks(gzip.compress(lines_of(RANKS))[:-9], PLACE)


def test_tekken_brings_its_pattern_and_what_is_beyond_its_size_is_left_out():
    ranks, cut = read_tekken(tekken_of(RANKS, beyond=[{"rank": 999, "token_bytes": "IQ=="}]), PLACE)
    assert ranks == RANKS
    assert cut == Cut(CUTS["o200k"].pattern)
    for data in (b"{", b"[]", b"{}", tekken_of(RANKS).replace(b"token_bytes", b"token")):
        with pytest.raises(Malformed, match=r"a tekken\.json"):
            read_tekken(data, PLACE)


def test_ranks_without_a_pattern_are_refused(tmp_path):
    for form in (Form.RANKS, Form.PACKED):
        with pytest.raises(Malformed, match=r"ranks without a pattern.*cl100k, o200k, qwen"):
            file_counter(tmp_path / "own.tiktoken", form, None, lines_of(RANKS))


def test_without_tiktoken_ranks_are_refused_and_not_guessed(monkeypatch):
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    with pytest.raises(Malformed, match="Install it: pip install tiktoken"):
        ranks_counter(RANKS, CUTS["o200k"], PLACE)


class TestWithTiktoken:
    """What needs the engine for ranks."""

    @pytest.fixture(autouse=True)
    def engine(self):
        pytest.importorskip("tiktoken")

    @pytest.mark.parametrize("form", [Form.RANKS, Form.PACKED, Form.TEKKEN])
    def test_every_form_counts_alike(self, form, tmp_path):
        data = {Form.RANKS: lines_of, Form.PACKED: packed_of, Form.TEKKEN: tekken_of}[form](RANKS)
        count = file_counter(tmp_path / "own", form, CUTS["o200k"], data)
        assert [count(text) for text in ("", "token", "token token", "tok", "<s>")] == [0, 1, 2, 2, 3]

    def test_only_a_composed_cut_composes(self):
        composed, plain = (ranks_counter(RANKS, CUTS[name], PLACE) for name in ("qwen", "cl100k"))
        assert (composed("e\u0301"), plain("e\u0301")) == (1, 3)

    def test_ranks_must_hold_every_byte(self):
        with pytest.raises(Malformed, match=r"no token for the bytes \[0\]"):
            ranks_counter({token: rank for token, rank in RANKS.items() if rank}, CUTS["qwen"], PLACE)
