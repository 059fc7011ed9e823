"""Serving software with its version, read out of the names that runs carry, and put in order of time.

The same chip and model nearly doubled its speed from one benchmark round to the next by software alone, so a measured point
says which software it was. Names come as container images, as engine names of result tables and as free text:

| name | backend | frame | version |
|---|---|---|---|
| lmsysorg/sglang:v0.5.8.post1-cu130 | sglang | | 0.5.8.post1 |
| nvcr.io/nvidia/ai-dynamo/tensorrtllm-runtime:0.8.1.post2 | trtllm | dynamo | 0.8.1.post2 |
| rocm/sgl-dev:sglang-0.5.9-rocm720-mi35x-mori-0227-3 | sglang | | 0.5.9 |
| vllm/vllm-openai:nightly-5b8c30d6... | vllm | | nightly-5b8c30d6... |
| vLLM 0.4.3+rocm614, PyTorch 2.3.0 | vllm | | 0.4.3 |
| TensorRT 10.11, CUDA 12.9 | trtllm | tensorrt | 10.11 |
| dynamo-trt | trtllm | | not given |

A frame is what the version is of, where that is not the backend itself: what it was packed in or built on. Versions compare only
within one backend and frame.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from ciyuan.basics.errors import Malformed


class Backend(StrEnum):
    """A serving engine."""

    TRTLLM = "trtllm"
    VLLM = "vllm"
    SGLANG = "sglang"
    ATOM = "atom"
    LLMBOOST = "llmboost"
    PYTORCH = "pytorch"
    DEEPSPARSE = "deepsparse"


_BACKENDS = (  # in this order: a name of several says first which engine it is
    ("llmboost", Backend.LLMBOOST),
    ("deepsparse", Backend.DEEPSPARSE),
    ("sglang", Backend.SGLANG),
    ("sgl-dev", Backend.SGLANG),
    ("vllm", Backend.VLLM),
    ("tensorrt", Backend.TRTLLM),
    ("trtllm", Backend.TRTLLM),
    ("trt", Backend.TRTLLM),
    ("atom", Backend.ATOM),
    ("pytorch", Backend.PYTORCH),
)
_NUMBER = r"\d+(?:\.\d+)+(?:-?rc\d+)?(?:\.post\d+)?(?:\.pre\d+)?(?:[.-]dev\.?\d+)?"
_DATED = re.compile(r"(?<!\d)(20[2-9]\d)(0[1-9]|1[0-2])([0-2]\d|3[01])(?!\d)")
_WORDY = re.compile(r"(?:nightly|[a-z-]+-dev)(?:-[0-9a-z]+)*")


@dataclass(frozen=True, slots=True)
class Software:
    """A serving engine and its version ("" if not given), or the version of its `frame` ("" if it is the engine's own)."""

    backend: Backend
    frame: str
    version: str

    @property
    def name(self) -> str:
        """As text: "sglang 0.5.8.post1", "trtllm (dynamo 0.8.1.post2)"."""
        if self.frame:
            return f"{self.backend} ({self.frame} {self.version})"
        return f"{self.backend} {self.version}".strip()

    @property
    def line(self) -> tuple[Backend, str]:
        """What versions compare within: backend and frame."""
        return self.backend, self.frame

    @property
    def dated(self) -> str | None:
        """The day in the version of a build that is named for one, as ISO text."""
        found = _DATED.search(self.version)
        return "-".join(found.groups()) if found else None

    @property
    def version_key(self) -> tuple[tuple[int, int], ...]:
        """For sorting the numbered versions of one `line`: pre-releases before their release, posts after it.

        Empty for a version without a number (a nightly build): those have no place among the others.
        """
        if not re.match(r"\d+\.\d", self.version):
            return ()
        ranks = {"pre": -3, "dev": -3, "rc": -2, "post": 1, "": 0}
        parts = re.findall(r"(pre|dev|rc|post|)\.?(\d+)", self.version)
        return (*((ranks[word], int(number)) for word, number in parts), (-1, 0))


def software_from(name: str) -> Software:
    """The software that a name says. Raises Malformed if it names no engine that is known."""
    low = name.lower()
    for word, backend in _BACKENDS:
        if word in low:
            return Software(backend, _frame(low, backend), _version(name, word, backend))
    raise Malformed("name of serving software", found=name, expected=f"one that names {', '.join(Backend)}",
                    remedy="Name the engine, or add it to factory/software.py.")  # fmt: skip


def _frame(low: str, backend: Backend) -> str:
    if "dynamo/" in low:
        return "dynamo"
    return "tensorrt" if backend is Backend.TRTLLM and re.search(r"tensorrt \d", low) else ""


def _version(name: str, word: str, backend: Backend) -> str:
    """The version in a name: after the colon of an image, after the engine's own name, or of the first number."""
    tag = name.partition(":")[2]
    low = (tag or name).lower()
    if backend is Backend.LLMBOOST:
        return ""
    named = re.search(rf"{word}[ _-]?v?({_NUMBER}|20\d{{6}})", low)
    if named:
        return named.group(1)
    if tag and not tag.startswith(" "):
        plain = re.match(rf"v?({_NUMBER})", low)
        if plain:
            return plain.group(1)
        wordy = _WORDY.match(low)
        return wordy.group(0) if wordy else low
    return ""


def in_order(found: Mapping[Software, str]) -> tuple[Software, ...]:
    """Software by the day of each, earliest first; versions of one line and day by their numbers. Days are ISO texts."""
    return tuple(
        sorted(found, key=lambda one: (found[one], one.backend, one.frame, one.version_key, one.version))
    )
