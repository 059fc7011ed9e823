"""Where a supplier is, and the references that stand in an operator's file for the secrets it wants.

| in the file | read as |
|---|---|
| `"env:NAME"` | the variable NAME of the environment that the server is started in |
| `"file:PATH"` | what is in that file, without white space around it |

What looks like a secret itself (a known prefix, a run of letters and digits that looks drawn by chance) is refused wherever
it stands, and never repeated in the error. A secret does not go over plain HTTP to another machine unless the operator says
that the way there is safe.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.firewall_checks import secret
from ciyuan.services.catalog_table import Section

SECRET_CHARS_MIN = 16
"""A run of letters and digits shorter than this is not taken for a secret."""
_REFERENCE = re.compile(r"(env):([A-Za-z_][A-Za-z0-9_]{0,127})|(file):(\S.*)", re.DOTALL)
_RUN = re.compile(rf"[A-Za-z0-9_+=~]{{{SECRET_CHARS_MIN},}}")
_KEY_PREFIX = re.compile(
    r"(?i)\b(sk|pk|rk|gsk|xai|hf|ghp|glpat|nvapi|tgp|fw)[-_][A-Za-z0-9_-]{8,}|\b(AKIA|AIza)[A-Za-z0-9_-]{8,}|bearer\s"
)
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(\S[^\r\n]*)")
_KEY_HEADERS = {"authorization", "x-api-key", "api-key", "proxy-authorization", "cookie"}


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a secret is: in a variable of the environment (`env`) or in a file (`file`)."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    def secret(self, environ: Mapping[str, str]) -> str:
        """The secret itself, without white space around it. Raises Malformed, naming the place, if there is none."""
        if self.kind == "env":
            found = environ.get(self.name, "").strip()
        else:
            try:
                found = Path(self.name).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as fault:
                raise Malformed(f"key {self}", found=type(fault).__name__, expected="a file with the key in it",
                                remedy="Check the path and who may read it.") from None  # fmt: skip
        if not found or not found.isascii() or not found.isprintable():
            raise Malformed(f"key {self}", found="nothing that can be a key" if found else "nothing",
                            expected="a key in one line of ASCII", remedy="Set it where the server is started.")  # fmt: skip
        return found


def address(table: Section, key: str, *, may_be_plain: bool) -> str:
    """The address under a key, without a slash at its end."""
    text, place = table.text(key), f"{table.place}, {key}"
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    good = (
        parts.scheme in {"http", "https"}
        and host
        and not (parts.query or parts.fragment or parts.username or parts.password)
    )
    good = good and _KEY_PREFIX.search(text) is None
    if not good or not text.isascii() or any(sign <= " " for sign in text):
        raise Malformed(place, found=f"a text of {len(text)} characters" if "@" in text or looks_secret(text) else text,
                        expected="http:// or https://, a host and a path, nothing else",
                        remedy='Write it like "https://api.example.com/v1"; the key has its own entry.')  # fmt: skip
    if parts.scheme == "http" and not may_be_plain and not _is_near(host):
        raise Malformed(place, found=f"http://{host}", expected="https, where a key goes to another machine",
                        remedy="Use https; if the way there is safe, say plain_http = true.")  # fmt: skip
    return text.rstrip("/")


def _is_near(host: str) -> bool:
    """Whether a host is this machine: what goes there does not leave it."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def headers_of(table: Section) -> Iterator[tuple[str, str | Reference]]:
    """The lines of `headers`: each name in small letters, and its value or where that is."""
    for index, line in enumerate(table.texts("headers"), 1):
        place = f"{table.place}, headers[{index}]"
        found = _HEADER.fullmatch(line)
        if found is None:
            raise Malformed(place, found=f"a text of {len(line)} characters",
                            expected='a name, a colon and a value, as "x-team: tokens"', remedy="Mend the line.")  # fmt: skip
        name, value = found[1].lower(), found[2].strip()
        reference = as_reference(value)
        if reference is None and (name in _KEY_HEADERS or looks_secret(value)):
            raise Malformed(f"{place} ({name})", found=f"a value of {len(value)} characters that looks like a secret",
                            expected="env:NAME or file:PATH",
                            remedy="Put it into the environment or a file, and name that.")  # fmt: skip
        yield name, value if reference is None else reference


def reference_of(table: Section, key: str) -> Reference:
    """The reference under a key. Raises Malformed for anything else, without repeating it."""
    text = table.text(key)
    reference = as_reference(text)
    if reference is None:
        raise Malformed(f"{table.place}, {key}", found=f"a text of {len(text)} characters (not shown: it may be the key itself)",
                        expected='"env:NAME" or "file:PATH"',
                        remedy="Put the key into the environment or a file of its own, and name that here.")  # fmt: skip
    return reference


def as_reference(text: str) -> Reference | None:
    """A text as a reference to a secret; None if it is none, or looks like a secret itself."""
    found = _REFERENCE.fullmatch(text)
    if found is None:
        return None
    kind, name = (found[1], found[2]) if found[1] else (found[3], found[4])
    last = name.rpartition("/")[2] if kind == "file" else name
    return None if _KEY_PREFIX.search(last) else Reference(kind, name)


def looks_secret(text: str) -> bool:
    """Whether a text holds what has a key's form, or a run of signs that looks drawn by chance."""
    return _KEY_PREFIX.search(text) is not None or any(secret(run[0].encode()) for run in _RUN.finditer(text))
