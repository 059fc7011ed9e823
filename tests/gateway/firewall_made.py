"""Invented examples for every rule of the firewall: none is anybody's. Letters are drawn from a seed, check digits are made here.

A template says how an example is written: `{w36}` is 36 letters and digits, `{card:411111111111111}` a number with its check.
The codes of letters: h hexadecimal, n digits, w letters and digits, u capitals and digits, l small letters and digits,
x letters, b base64, s base64url, q Base58.
"""

import base64
import hashlib
import json
import random
import re
from collections.abc import Callable, Iterator

ALPHABETS = {
    "h": "0123456789abcdef",
    "n": "0123456789",
    "w": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
    "u": "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
    "l": "abcdefghijklmnopqrstuvwxyz0123456789",
    "x": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    "b": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    "s": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-",
    "q": "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",
    "k": "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
}
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def value_of(letter: str) -> int:
    return int(letter, 36)


def made_luhn(text: str) -> str:
    """Luhn by the sum of the digits' digits."""
    for last in "0123456789":
        digits = [int(letter) for letter in reversed(text + last) if letter.isdigit()]
        if sum(sum(map(int, str(digit * (1 + place % 2)))) for place, digit in enumerate(digits)) % 10 == 0:
            return text + last
    raise AssertionError(text)


def made_iban(text: str) -> str:
    """Country and account: the two check digits go between (ISO 7064 MOD 97-10, digit by digit)."""
    rest = 0
    for letter in re.sub(" ", "", text[2:]) + text[:2] + "00":
        rest = int(f"{rest}{value_of(letter)}") % 97
    return f"{text[:2]}{98 - rest:02d}{text[2:]}"


def made_resident(text: str) -> str:
    """GB 11643: ISO 7064 MOD 11-2 by doubling."""
    rest = 0
    for letter in text:
        rest = (rest + int(letter)) * 2 % 11
    check = (12 - rest) % 11
    return text + "0123456789X"[check]


def made_credit(text: str) -> str:
    letters = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    weights = [1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28]
    total = sum(letters.index(letter) * weight for letter, weight in zip(text, weights, strict=True))
    return text + letters[(31 - total % 31) % 31]


def made_hong_kong(text: str) -> str:
    padded = ([36] if len(text) == 7 else []) + [value_of(letter) for letter in text]
    total = sum((9 - place) * value for place, value in enumerate(padded))
    return f"{text}({'0123456789A'[-total % 11]})"


def made_taiwan(text: str) -> str:
    number = "ABCDEFGHJKLMNPQRSTUVXYWZIO".index(text[0]) + 10
    total = (
        number // 10
        + number % 10 * 9
        + sum(int(digit) * (8 - place) for place, digit in enumerate(text[1:9]))
    )
    return text[:9] + str(-total % 10)


def made_singapore(text: str) -> str:
    total = sum(int(digit) * weight for digit, weight in zip(text[1:], (2, 7, 6, 5, 4, 3, 2), strict=True))
    total += {"S": 0, "T": 4, "F": 0, "G": 4, "M": 3}[text[0]]
    letters = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "M": "XWUTRQPNJLK"}.get(text[0], "XWUTRQPNMLK")
    return text + letters[total % 11]


def made_korea(text: str) -> str:
    weights = [2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]
    total = sum(int(digit) * weight for digit, weight in zip(text.replace("-", ""), weights, strict=True))
    return text + str((11 - total % 11) % 10)


def made_verhoeff(text: str) -> str:
    """Verhoeff by the dihedral group of the pentagon: a rotation, or a turn of the plane and a rotation."""
    inverse = (0, 4, 3, 2, 1, 5, 6, 7, 8, 9)
    turn = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)

    def product(left: int, right: int) -> int:
        if left < 5:
            return (left + right) % 5 + (5 if right >= 5 else 0) if right < 5 else 5 + (left + right - 5) % 5
        return 5 + (left - 5 - right) % 5 if right < 5 else (left - right) % 5

    check = 0
    for place, letter in enumerate(reversed(text.replace(" ", "")), 1):
        digit = int(letter)
        for _ in range(place % 8):
            digit = turn[digit]
        check = product(check, digit)
    return text + str(inverse[check])


def made_spain(text: str) -> str:
    number = int(text.replace("X", "0").replace("Y", "1").replace("Z", "2"))
    return text + "TRWAGMYFPDXBNJZSQVHLCKE"[number % 23]


def made_brazil(text: str) -> str:
    digits = [int(digit) for digit in text if digit.isdigit()]
    for _ in range(2):
        rest = sum(digit * weight for digit, weight in zip(reversed(digits), range(2, 12), strict=False)) % 11
        digits.append(0 if rest < 2 else 11 - rest)
    return f"{text}-{digits[9]}{digits[10]}"


def made_france(text: str) -> str:
    return f"{text}{97 - int(text.replace(' ', '')) % 97:02d}"


def made_italy(text: str) -> str:
    odd = "BAKPLCQDREVOSFTGUHMINJWZYX"
    total = 0
    for place, letter in enumerate(text):
        rank = int(letter) if letter.isdigit() else ord(letter) - 65
        total += odd.index(chr(65 + rank)) if place % 2 == 0 else rank
    return text + chr(65 + total % 26)


def made_germany(text: str) -> str:
    product = 10
    for digit in text.replace(" ", "")[-10:]:
        product = ((int(digit) + product - 1) % 10 + 1) * 2 % 11
    return text + str((11 - product) % 10)


def made_japan(text: str) -> str:
    digits = [int(digit) for digit in text if digit.isdigit()]
    rest = (
        sum(digit * (place + 2 if place < 6 else place - 4) for place, digit in enumerate(reversed(digits)))
        % 11
    )
    return text + str(0 if rest <= 1 else 11 - rest)


def made_health(text: str) -> str:
    digits = [int(digit) for digit in text if digit.isdigit()]
    rest = 11 - sum(digit * (10 - place) for place, digit in enumerate(digits)) % 11
    assert rest != 10, text
    return text + str(rest % 11)


def made_passport(text: str) -> str:
    """Number, state, birth, sex, expiry, personal number: the second line with its five check digits."""
    number, state, birth, sex, expiry, own = text.split(",")

    def check(part: str) -> str:
        values = [0 if letter == "<" else value_of(letter) for letter in part]
        return str(sum(value * (7, 3, 1)[place % 3] for place, value in enumerate(values)) % 10)

    number, own = number.ljust(9, "<"), own.ljust(14, "<")
    first, second, third, fourth = (
        number + check(number),
        birth + check(birth),
        expiry + check(expiry),
        own + check(own),
    )
    return f"{first}{state}{second}{sex}{third}{fourth}{check(first + second + third + fourth)}"


def made_wallet(text: str) -> str:
    """Base58Check of a version byte and a key drawn from the text: an invented wallet's, with nothing in it."""
    version, seed = text.split(",")
    length = 78 if len(version) > 2 else 33 if version == "80" else 34
    raw = bytes.fromhex(version) + hashlib.shake_128(seed.encode()).digest(length - len(version) // 2)
    raw += hashlib.sha256(hashlib.sha256(raw).digest()).digest()[:4]
    number, letters = int.from_bytes(raw, "big"), ""
    while number:
        number, place = divmod(number, 58)
        letters = BASE58[place] + letters
    return letters


def made_jwt(text: str) -> str:
    """A token of header, claims and a signature of drawn letters."""
    algorithm, subject, signature = text.split(",")

    def part(content: dict[str, str]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    return f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part({'sub': subject})}.{signature}"


def made_basic(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


MAKERS: dict[str, Callable[[str], str]] = {
    name.removeprefix("made_"): made for name, made in globals().items() if name.startswith("made_")
}


def drawn(template: str, seed: str) -> str:
    """The template with its letters drawn and its numbers made."""
    chance = random.Random(seed)  # noqa: S311

    def letters(match: re.Match[str]) -> str:
        return "".join(chance.choice(ALPHABETS[match[1]]) for _ in range(int(match[2])))

    text = re.sub(r"\{([a-z])(\d+)\}", letters, template)
    return re.sub(r"\{([a-z_]+):([^{}]*)\}", lambda match: MAKERS[match[1]](match[2]), text)


def examples(templates: tuple[str, ...], name: str, count: int) -> Iterator[str]:
    """So many examples of a rule, its templates by turns."""
    for number in range(max(count, len(templates))):
        yield drawn(templates[number % len(templates)], f"{name} {number}")
