"""The hosts that a text names: where an agent's call would go. Read as browsers and resolvers read them, whatever the disguise.

| written | read as |
|---|---|
| `https://user@host:8443/path`, `//host/`, `git@host:path` | host |
| `http://good.com\\@bad.com`, `http:\\\\bad.com` | the part that a browser takes: a backslash ends the authority |
| `EXAMPLE.com.`, full-width letters, percent encoding | `example.com` |
| `http://2130706433`, `http://0x7f.1`, `http://0177.0.0.1` | `127.0.0.1` (WHATWG URL, IPv4 parser) |
| `http://[::ffff:10.0.0.1]/` | `10.0.0.1` |
| `bücher.example` | `xn--bcher-kva.example` |
| `example.com` alone | a host, if its last label is one of LAST_LABELS; else a bare name is a file or an attribute |

What is built only when it is run (`"exa" + "mple.com"`, an environment variable, a redirect, a DNS rebinding) is not seen here.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from unicodedata import normalize

from ciyuan.gateway.firewall_views import OUTSIDE, fold

UNREADABLE_HOST = ""
"""Stands for a destination that is there but cannot be read: no list allows it."""
_OUTER_LABELS = (
    "com net org edu gov mil int info biz io ai app dev cloud tech xyz top site online store shop club live pro vip wang ink "
    "cn hk tw mo jp kr sg in us uk eu de fr es it nl be ch at se no dk fi pl cz ru ua br mx ar ca au nz za id my th vn ph "
    "co me tv cc to gg ly su tk ml ga cf pw onion"
)
_INSIDE = frozenset({"localhost", "local", "internal", "lan", "corp", "home", "intranet"})
LAST_LABELS = (*_OUTER_LABELS.split(), *sorted(_INSIDE))
"""The last labels by which a bare name is taken for a host's."""
_AUTHORITY = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9+.-]{0,20}:|(?<![\w:/\\])(?=[/\\]{2}))[/\\]{2,}([^/\\?#\s\"'<>`{}|^]*)"
)
_SCP = re.compile(r"(?<![\w.@-])[\w.-]{1,64}@([\w.-]{1,253}):(?!//)")
_BARE = re.compile(
    r"(?<![\w.@/\\-])((?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}(?:"
    + "|".join(LAST_LABELS)
    + r"))\.?(?![\w-]|\.\w)",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"(?<![\w.])((?:[0-9]{1,3}\.){3}[0-9]{1,3})(?![\w.]*\w)")
_NUMBER = re.compile(r"0[xX][0-9A-Fa-f]*|[0-9]+")


def hosts_in(text: str) -> tuple[str, ...]:
    """Every host that a text names, canonical, each once, sorted; UNREADABLE_HOST for one that cannot be read."""
    found: set[str] = set()
    for view in {
        text,
        fold(b"\n" + text.encode("utf-8", "replace"), OUTSIDE).data[1:].decode("utf-8", "replace"),
    }:
        found.update(host_of_authority(match[1]) for match in _AUTHORITY.finditer(view))
        for pattern in (_SCP, _BARE, _ADDRESS):
            found.update(canonical_host(match[1]) for match in pattern.finditer(view))
    return tuple(sorted(found))


def host_of_authority(authority: str) -> str:
    """The host of `user:password@host:port`."""
    rest = authority.rpartition("@")[2]
    if rest.startswith("["):
        return canonical_host(rest.partition("]")[0][1:])
    return canonical_host(rest.partition(":")[0])


def canonical_host(name: str) -> str:
    """A host's one name: an address in its shortest form, or small letters in ASCII; UNREADABLE_HOST if it is neither."""
    name = normalize("NFKC", _percent_decoded(name)).lower().rstrip(".")
    address = _address(name)
    if address:
        return address
    try:
        ascii_name = name.encode("idna").decode("ascii")
    except UnicodeError:
        return UNREADABLE_HOST
    return ascii_name if re.fullmatch(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*", ascii_name) else UNREADABLE_HOST


def _percent_decoded(name: str) -> str:
    return re.sub(r"%([0-9A-Fa-f]{2})", lambda match: chr(int(match[1], 16)), name)


def _address(name: str) -> str:
    """An internet address in any of its spellings, in its usual one; "" for a name."""
    if ":" in name:
        try:
            six = IPv6Address(name.partition("%")[0])
        except ValueError:
            return ""
        return str(six.ipv4_mapped or six)
    parts = name.split(".")
    if not 1 <= len(parts) <= 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        return ""
    numbers = [_whole(part) for part in parts]
    last_limit = 256 ** (5 - len(numbers))
    if -1 in numbers or any(number > 255 for number in numbers[:-1]) or numbers[-1] >= last_limit:
        return ""
    value = numbers[-1] + sum(number << 8 * (3 - place) for place, number in enumerate(numbers[:-1]))
    return str(IPv4Address(value))


def _whole(part: str) -> int:
    """A number as hosts write it: hexadecimal after 0x, octal after 0; -1 if it is none."""
    try:
        if part[:2] == "0x":
            return int(part[2:] or "0", 16)
        return int(part, 8 if part[0] == "0" and len(part) > 1 else 10)
    except ValueError:
        return -1


def is_private(host: str) -> bool:
    """Whether a host is of the machine itself, of a network inside, or of a cloud's metadata service."""
    last = host.rpartition(".")[2]
    return _inside(host) or last in _INSIDE or (last == host and ":" not in host)


def _inside(host: str) -> bool:
    try:
        return not ip_address(host).is_global
    except ValueError:
        return False
