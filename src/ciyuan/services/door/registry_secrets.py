"""An API key's secret: made once, shown once, kept by nobody but its owner.

    sk-ciyuan-  43 letters and digits: 256 random bits   6: the CRC-32 of all before them

The registry keeps the SHA-256 of the whole. A secret of 256 random bits cannot be guessed, so its digest needs neither salt nor
a slow hash, and finding a key is one look-up by digest: how long it takes says nothing about other secrets. The checksum tells a
mistyped secret from an unknown one without looking, and secret scanners a true find from a chance one; the form is that of
GitHub's tokens (github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats, 5 April 2021).
"""

import re
import secrets
from hashlib import sha256
from zlib import crc32

PREFIX = "sk-ciyuan-"
RANDOM_BYTES = 32
RANDOM_DIGITS, CHECK_DIGITS = 43, 6
"""62^43 > 2^256, 62^6 > 2^32."""
SHOWN_DIGITS = 6
"""How much of a secret is kept to tell keys apart by: 36 of its 256 bits."""
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SECRET = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{RANDOM_DIGITS + CHECK_DIGITS}}}", re.ASCII)
"""What a secret looks like, for scanners."""


def new_secret() -> str:
    """A secret that nobody has had."""
    return secret_of(secrets.token_bytes(RANDOM_BYTES))


def secret_of(random: bytes) -> str:
    """The secret that 32 random bytes make."""
    body = PREFIX + _base62(int.from_bytes(random), RANDOM_DIGITS)
    return body + _checksum(body)


def is_well_formed(secret: str) -> bool:
    """Whether this is a secret as ours are made, its checksum right."""
    body = secret[:-CHECK_DIGITS]
    return SECRET.fullmatch(secret) is not None and secret[-CHECK_DIGITS:] == _checksum(body)


def digest_of(secret: str | bytes) -> bytes:
    """The 32 bytes that a secret is known by."""
    return sha256(secret.encode() if isinstance(secret, str) else secret).digest()


def shown_of(secret: str) -> str:
    """What may be shown of a secret: its beginning."""
    return f"{secret[: len(PREFIX) + SHOWN_DIGITS]}…"


def _checksum(body: str) -> str:
    return _base62(crc32(body.encode()), CHECK_DIGITS)


def _base62(number: int, digits: int) -> str:
    text = ""
    for _ in range(digits):
        number, digit = divmod(number, len(DIGITS))
        text = DIGITS[digit] + text
    return text
