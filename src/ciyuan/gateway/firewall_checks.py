"""The checks that make a finding of a match: what a match must be besides its form.

A check sees the match's bytes and answers yes or no. So that cutting a text after a match, or hiding what follows it, can make
no finding that was none before, a check is one of two kinds (docs/spec/firewall.md, rule 6):

- of a pattern whose matches have one length from a given start: any question at all (Luhn, modulo 97);
- of a pattern of open length: a question whose answer, once yes, stays yes when the match goes on. So the bits of a secret
  are its length times its entropy, which only grows, and what is left out (placeholders) is judged by its first bytes.
"""

import json
import re
from base64 import b64decode, urlsafe_b64decode
from collections import Counter
from collections.abc import Callable, Mapping
from enum import Enum, auto
from functools import cache
from hashlib import sha256
from math import log2

from ciyuan.gateway import firewall_numbers as numbers

MILLIBITS = 1000
SECRET_MILLIBITS_MIN = 45 * MILLIBITS
"""The least information, length times entropy, of what is assigned to a name of a secret."""
INFORMATION_BYTES_MAX = 400
VARIED_TAIL_BYTES, VARIED_MIN = 20, 7
"""Of a token's last bytes so many must differ: keys of documentation are one letter over and over."""
_BASE58 = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_STAND_INS = (
    "your", "my_", "my-", "xxx", "***", "...", "example", "sample", "dummy", "fake", "placeholder", "change", "redacted",
    "null", "none", "true", "false", "undefined", "env", "os.", "process", "config", "settings", "self.", "str", "int",
    "input", "get", "$", "%", "<", "{", "test_", "todo", "http",
)  # fmt: skip
_CODES = (
    "1 20 211 212 213 216 218 220 221 222 223 224 225 226 227 228 229 230 231 232 233 234 235 236 237 238 239 240 241 242 "
    "243 244 245 246 248 249 250 251 252 253 254 255 256 257 258 260 261 262 263 264 265 266 267 268 269 27 290 291 297 298 "
    "299 30 31 32 33 34 350 351 352 353 354 355 356 357 358 359 36 370 371 372 373 374 375 376 377 378 380 381 382 383 385 "
    "386 387 389 39 40 41 420 421 423 43 44 45 46 47 48 49 500 501 502 503 504 505 506 507 508 509 51 52 53 54 55 56 57 58 "
    "590 591 592 593 594 595 596 597 598 599 60 61 62 63 64 65 66 670 672 673 674 675 676 677 678 679 680 681 682 683 685 "
    "686 687 688 689 690 691 692 7 81 82 84 850 852 853 855 856 86 880 886 90 91 92 93 94 95 960 961 962 963 964 965 966 "
    "967 968 970 971 972 973 974 975 976 977 98 992 993 994 995 996 998"
)
_COUNTRY_CODES = frozenset(_CODES.split())
"""Country calling codes (ITU-T E.164, list of assigned codes)."""
_FILE_ENDINGS = frozenset(
    b"png jpg jpeg gif svg webp bmp ico css js ts tsx jsx json html htm php py rb go rs java md txt xml yml yaml zip gz".split()
)
_NINO_NEVER = frozenset(b"BG GB NK KN TN NT ZZ".split())


class Check(Enum):
    """What a match must be besides its form; a rule names one."""

    NONE = auto()
    VARIED = auto()
    VARIED_DIGIT = auto()
    AWS_KEY = auto()
    SECRET = auto()
    PASSWORD = auto()
    BASIC = auto()
    URL_PASSWORD = auto()
    JWT = auto()
    BASE58 = auto()
    EMAIL = auto()
    CALLING = auto()
    IPV4 = auto()
    NINO = auto()
    BIRTH = auto()
    CARD = auto()
    LUHN = auto()
    IBAN = auto()
    RESIDENT_ID = auto()
    CREDIT_CODE = auto()
    HONG_KONG = auto()
    TAIWAN = auto()
    SINGAPORE = auto()
    KOREA = auto()
    AADHAAR = auto()
    SPAIN = auto()
    BRAZIL = auto()
    FRANCE = auto()
    ITALY = auto()
    GERMANY = auto()
    JAPAN = auto()
    NATIONAL_HEALTH = auto()
    SOCIAL_SECURITY = auto()
    PASSPORT_LINE = auto()


@cache
def _n_log_n(count: int) -> int:
    """`count` x log2(`count`) in thousandths of a bit, to the nearest; a convex row up to INFORMATION_BYTES_MAX."""
    return round(MILLIBITS * count * log2(count)) if count else 0


def information_millibits(text: bytes) -> int:
    """Length times Shannon's entropy of the first INFORMATION_BYTES_MAX bytes, in thousandths of a bit.

    Never less for a longer text that begins so: the row of n log n is convex, and a byte is seen no more often than all are.
    """
    counted = Counter(text[:INFORMATION_BYTES_MAX])
    return _n_log_n(counted.total()) - sum(map(_n_log_n, counted.values()))


def varied(text: bytes) -> bool:
    """Whether a token's last bytes differ enough for it to be one that was drawn."""
    return len(set(text[-VARIED_TAIL_BYTES:])) >= VARIED_MIN


def varied_digit(text: bytes) -> bool:
    """A varied token with a digit and a letter in its tail."""
    return varied(text) and _mixed(text[4:])


def aws_key(text: bytes) -> bool:
    """A key id of Amazon's that is not one of its documentation."""
    return varied(text) and not text.endswith(b"EXAMPLE")


_DIGIT, _LETTER, _SIGN = re.compile(rb"[0-9]"), re.compile(rb"[A-Za-z]"), re.compile(rb"[!@#$%^&*]")


def _mixed(text: bytes) -> bool:
    return _DIGIT.search(text) is not None and _LETTER.search(text) is not None


def _stands_in(value: bytes) -> bool:
    return value[:16].decode("ascii", "replace").lower().startswith(_STAND_INS)


def secret(text: bytes) -> bool:
    """A value that has letters, digits and the information of something drawn by chance, and is no stand-in."""
    return _mixed(text) and not _stands_in(text) and information_millibits(text) >= SECRET_MILLIBITS_MIN


def password(text: bytes) -> bool:
    """A value that has letters with digits or signs, and is no stand-in."""
    return (_mixed(text) or _SIGN.search(text) is not None) and not _stands_in(text)


def basic(text: bytes) -> bool:
    """The credentials of HTTP's Basic scheme: base64 of a name, a colon and a password (RFC 7617)."""
    try:
        name, colon, word = b64decode(text + b"=" * (-len(text) % 4), validate=True).partition(b":")
    except ValueError:
        return False
    return bool(colon and word) and name.isascii() and all(byte >= 32 for byte in name)


def url_password(text: bytes) -> bool:
    """A URL with a password in it that is no stand-in."""
    user = text.partition(b"://")[2].rpartition(b"@")[0]
    word = user.partition(b":")[2]
    return (
        len(word) >= 3
        and not _stands_in(word)
        and word not in {b"pass", b"passwd", b"password", b"pwd", b"secret", user.partition(b":")[0]}
    )


def jwt(text: bytes) -> bool:
    """A JSON web token: its first part is a JSON object that names an algorithm (RFC 7519)."""
    head = text.partition(b".")[0]
    try:
        header = json.loads(urlsafe_b64decode(head + b"=" * (-len(head) % 4)))
    except ValueError:
        return False
    return isinstance(header, dict) and "alg" in header


def base58(text: bytes) -> bool:
    """Base58Check, as of wallets' private keys: the last four bytes are the others' double SHA-256."""
    number = 0
    for byte in text:
        place = _BASE58.find(byte)
        if place < 0:
            return False
        number = number * 58 + place
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return sha256(sha256(raw[:-4]).digest()).digest()[:4] == raw[-4:]


def email(text: bytes) -> bool:
    """A mail address, and neither a picture's file name (`logo@2x.png`) nor the user of a git server."""
    local, _, domain = text.rpartition(b"@")
    return domain.rpartition(b".")[2].lower() not in _FILE_ENDINGS and local != b"git" and b".." not in text


def calling(text: bytes) -> bool:
    """A telephone number whose country has a calling code; what follows the code does not matter."""
    digits = text.translate(None, b"+ .()-").decode("ascii")
    return len(digits) >= 8 and any(digits[:length] in _COUNTRY_CODES for length in (1, 2, 3))


def ipv4(text: bytes) -> bool:
    """Four numbers up to 255, without leading zeros."""
    parts = text.split(b".")
    return all(int(part) < 256 and (part == b"0" or part[:1] != b"0") for part in parts)


def nino(text: bytes) -> bool:
    """A British national insurance number with two letters that are given out."""
    return text[:2].upper() not in _NINO_NEVER


def birth(text: bytes) -> bool:
    """A date of birth: the year, month and day that the text ends with are a day."""
    year, month, day = (int(part) for part in re.findall(rb"[0-9]+", text)[-3:])
    return numbers.is_date(year, month, day) and 1900 <= year <= 2100


CHECKS: Mapping[Check, Callable[[bytes], bool]] = {
    Check.NONE: lambda _text: True,
    Check.VARIED: varied,
    Check.VARIED_DIGIT: varied_digit,
    Check.AWS_KEY: aws_key,
    Check.SECRET: secret,
    Check.PASSWORD: password,
    Check.BASIC: basic,
    Check.URL_PASSWORD: url_password,
    Check.JWT: jwt,
    Check.BASE58: base58,
    Check.EMAIL: email,
    Check.CALLING: calling,
    Check.IPV4: ipv4,
    Check.NINO: nino,
    Check.BIRTH: birth,
    Check.CARD: numbers.card,
    Check.LUHN: numbers.luhn,
    Check.IBAN: numbers.iban,
    Check.RESIDENT_ID: numbers.resident_id,
    Check.CREDIT_CODE: numbers.credit_code,
    Check.HONG_KONG: numbers.hong_kong,
    Check.TAIWAN: numbers.taiwan,
    Check.SINGAPORE: numbers.singapore,
    Check.KOREA: numbers.korea,
    Check.AADHAAR: numbers.aadhaar,
    Check.SPAIN: numbers.spain,
    Check.BRAZIL: numbers.brazil,
    Check.FRANCE: numbers.france,
    Check.ITALY: numbers.italy,
    Check.GERMANY: numbers.germany,
    Check.JAPAN: numbers.japan,
    Check.NATIONAL_HEALTH: numbers.national_health,
    Check.SOCIAL_SECURITY: numbers.social_security,
    Check.PASSPORT_LINE: numbers.passport_line,
}
"""The function of each check."""
