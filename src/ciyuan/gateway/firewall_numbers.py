"""Numbers of persons, cards and companies that carry a check: whether a found text is one. Pure, on ASCII bytes.

| number | law | source |
|---|---|---|
| payment card | Luhn, and a scheme's first digits and length | ISO/IEC 7812-1; schemes' published ranges |
| IBAN | rearranged, letters as 10..35, modulo 97 is 1; length by country | ISO 13616, SWIFT IBAN registry |
| Chinese resident identity | weights, modulo 11, over a real date of birth and a province | GB 11643-1999, GB/T 2260 |
| Chinese unified social credit code | base 31, powers of 3, modulo 31 | GB 32100-2015 |
| travel document, second line of a passport | weights 7 3 1, modulo 10, four times | ICAO Doc 9303 part 4 |
| of other countries | see each function | the issuers' published rules |

A check of a number looks at all of it and at nothing else: separators are left out first.
"""

from datetime import date

_DIGITS = b"0123456789"
_PLAIN = bytes.maketrans(_DIGITS, bytes(range(10)))
_DOUBLED = bytes.maketrans(_DIGITS, bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)))
_PROVINCES = frozenset(
    b"11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82 83".split()
)
_RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CREDIT_LETTERS = b"0123456789ABCDEFGHJKLMNPQRTUWXY"
IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18,
    "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24,
    "SI": 19, "SK": 24, "SM": 27, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
}  # fmt: skip
"""Characters of an IBAN by country (SWIFT IBAN registry)."""
_TAIWAN = dict(zip(b"ABCDEFGHJKLMNPQRSTUVXYWZIO", range(10, 36), strict=True))
_SPAIN = b"TRWAGMYFPDXBNJZSQVHLCKE"
_SINGAPORE = {
    ord("S"): (0, b"JZIHGFEDCBA"),
    ord("T"): (4, b"JZIHGFEDCBA"),
    ord("F"): (0, b"XWUTRQPNMLK"),
    ord("G"): (4, b"XWUTRQPNMLK"),
    ord("M"): (3, b"XWUTRQPNJLK"),
}
_ITALY_ODD = dict(
    zip(
        b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16,
         10, 22, 25, 24, 23),
        strict=True,
    )
)  # fmt: skip
_VERHOEFF_PRODUCT = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 4, 0, 6, 7, 8, 9, 5), (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7), (4, 0, 1, 2, 3, 9, 5, 6, 7, 8), (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2), (7, 6, 5, 9, 8, 2, 1, 0, 4, 3), (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)  # fmt: skip
_VERHOEFF_PLACES = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 5, 7, 6, 2, 8, 3, 0, 9, 4), (5, 8, 0, 3, 7, 9, 6, 1, 4, 2),
    (8, 9, 1, 6, 0, 4, 3, 5, 2, 7), (9, 4, 5, 3, 1, 2, 6, 8, 7, 0), (4, 2, 8, 6, 5, 7, 3, 9, 0, 1),
    (2, 7, 9, 3, 8, 0, 6, 4, 1, 5), (7, 0, 4, 6, 9, 1, 3, 2, 5, 8),
)  # fmt: skip


def digits_of(text: bytes) -> list[int]:
    """The digits in a text, in order."""
    return [byte - 48 for byte in text if byte in _DIGITS]


def letters_of(text: bytes) -> bytes:
    """The ASCII letters and digits in a text, in capitals."""
    return bytes(byte for byte in text.upper() if byte in b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def _weighed(digits: list[int], weights: tuple[int, ...] | range) -> int:
    return sum(digit * weight for digit, weight in zip(digits, weights, strict=False))


def is_date(year: int, month: int, day: int) -> bool:
    """Whether there was such a day."""
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def luhn(text: bytes) -> bool:
    """The digits, every second one from the right doubled, sum to a multiple of ten, and are not all the same."""
    digits = text.translate(None, b" -")
    total = sum(digits[::-2].translate(_PLAIN)) + sum(digits[-2::-2].translate(_DOUBLED))
    return total % 10 == 0 and digits.count(digits[0]) < len(digits)


def card(text: bytes) -> bool:
    """A payment card: Luhn, with first digits and a length that a scheme issues."""
    if not luhn(text):
        return False
    digits = text.translate(None, b" -")
    length, four, two = len(digits), int(digits[:4]), int(digits[:2])
    return (
        (two // 10 == 4 and length in {13, 16, 19})
        or ((51 <= two <= 55 or 2221 <= four <= 2720) and length == 16)
        or (two in {34, 37} and length == 15)
        or ((two in {62, 64, 65, 81} or four == 6011 or 3528 <= four <= 3589) and 16 <= length <= 19)
        or (two in {30, 36, 38, 39} and length in {14, 16})
        or (two in {50, 56, 57, 58, 63, 67} and length in {16, 18, 19})
    )


def iban(text: bytes) -> bool:
    """An international bank account number of its country's length."""
    letters = letters_of(text).decode("ascii")
    if IBAN_LENGTHS.get(letters[:2]) != len(letters):
        return False
    number = "".join(str(int(letter, 36)) for letter in letters[4:] + letters[:4])
    return int(number) % 97 == 1


def resident_id(text: bytes) -> bool:
    """A Chinese resident identity number of eighteen places."""
    if text[:2] not in _PROVINCES or not is_date(int(text[6:10]), int(text[10:12]), int(text[12:14])):
        return False
    weighed = _weighed(digits_of(text[:17]), _RESIDENT_WEIGHTS)
    return text[17:].upper() == b"10X98765432"[weighed % 11 : weighed % 11 + 1] and text[6:8] in {
        b"18",
        b"19",
        b"20",
    }


def credit_code(text: bytes) -> bool:
    """A Chinese unified social credit code of eighteen places."""
    places = [_CREDIT_LETTERS.find(byte) for byte in text]
    if -1 in places or not (any(byte > 57 for byte in text) or text[:1] == b"9"):
        return False
    weighed = sum(place * pow(3, power, 31) for power, place in enumerate(places[:17]))
    return places[17] == -weighed % 31


def hong_kong(text: bytes) -> bool:
    """A Hong Kong identity card: one or two letters, six digits, a check of 0 to A in brackets or not."""
    letters = letters_of(text)
    places = [int(chr(letter), 36) for letter in letters]
    padded = ([36] if len(places) == 8 else []) + places
    return len(padded) == 9 and _weighed(padded, range(9, 0, -1)) % 11 == 0 and letters[-1:] in b"0123456789A"


def taiwan(text: bytes) -> bool:
    """A Taiwan identity card: a letter and nine digits."""
    tens, ones = divmod(_TAIWAN[text[0]], 10)
    return (tens + 9 * ones + _weighed(digits_of(text), (8, 7, 6, 5, 4, 3, 2, 1, 1))) % 10 == 0


def singapore(text: bytes) -> bool:
    """A Singapore NRIC or FIN: a letter, seven digits, a letter."""
    extra, letters = _SINGAPORE[text[0]]
    return letters[(_weighed(digits_of(text), (2, 7, 6, 5, 4, 3, 2)) + extra) % 11] == text[-1]


def korea(text: bytes) -> bool:
    """A Korean resident registration number of before October 2020, which has a check."""
    digits = digits_of(text)
    return (
        is_date((1900, 2000)[digits[6] in {3, 4, 7, 8}] + digits[0] * 10 + digits[1], *_pairs(digits[2:6]))
        and (11 - _weighed(digits, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)) % 11) % 10 == digits[12]
    )


def _pairs(digits: list[int]) -> tuple[int, int]:
    return digits[0] * 10 + digits[1], digits[2] * 10 + digits[3]


def aadhaar(text: bytes) -> bool:
    """An Indian Aadhaar number: Verhoeff's check over twelve digits."""
    check = 0
    for place, digit in enumerate(text.translate(_PLAIN, b" ")[::-1]):
        check = _VERHOEFF_PRODUCT[check][_VERHOEFF_PLACES[place % 8][digit]]
    return check == 0


def spain(text: bytes) -> bool:
    """A Spanish DNI or NIE: the letter is the number modulo 23."""
    number = text[:-1].translate(bytes.maketrans(b"XYZ", b"012")).replace(b"-", b"")
    return _SPAIN[int(number) % 23] == text[-1] and len(set(number)) > 1


def brazil(text: bytes) -> bool:
    """A Brazilian CPF: two checks modulo 11."""
    digits = digits_of(text)

    def check(count: int) -> int:
        rest = _weighed(digits[:count], range(count + 1, 1, -1)) * 10 % 11
        return rest % 10

    return check(9) == digits[9] and check(10) == digits[10] and len(set(digits)) > 1


def france(text: bytes) -> bool:
    """A French NIR: the key is 97 less the number modulo 97."""
    number = "".join(map(str, digits_of(text)))
    return 97 - int(number[:13]) % 97 == int(number[13:]) and 1 <= int(number[3:5]) <= 12


def italy(text: bytes) -> bool:
    """An Italian codice fiscale: its last letter is the sum of the other fifteen, by table, modulo 26."""
    odd = sum(_ITALY_ODD[byte] for byte in text[0:15:2])
    even = sum(byte - 48 if byte < 65 else byte - 65 for byte in text[1:15:2])
    return (odd + even) % 26 == text[15] - 65


def germany(text: bytes) -> bool:
    """A German tax identification: ISO 7064 MOD 11,10 over the last eleven digits of the text."""
    digits = digits_of(text)[-11:]
    product = 10
    for digit in digits[:10]:
        total = (digit + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == digits[10]


def japan(text: bytes) -> bool:
    """A Japanese individual number: the last twelve digits of the text, checked modulo 11."""
    digits = digits_of(text)[-12:]
    rest = _weighed(digits[10::-1], (2, 3, 4, 5, 6, 7, 2, 3, 4, 5, 6)) % 11
    return digits[11] == (0 if rest <= 1 else 11 - rest)


def national_health(text: bytes) -> bool:
    """A British NHS number: the last ten digits of the text, checked modulo 11."""
    digits = digits_of(text)[-10:]
    return (11 - _weighed(digits, range(10, 1, -1)) % 11) % 11 == digits[9]


def social_security(text: bytes) -> bool:
    """A United States social security number that can have been issued: not area 000, 666 or 9xx, group 00, serial 0000."""
    area, group, serial = text[:3], text[4:6], text[7:]
    return area not in {b"000", b"666"} and area < b"900" and group != b"00" and serial != b"0000"


def passport_line(text: bytes) -> bool:
    """The second line of a passport's machine readable zone: number, birth, expiry and the whole, each with its check digit."""

    def check(part: bytes) -> int:
        values = (0 if byte == 60 else byte - 48 if byte < 58 else byte - 55 for byte in part)
        return sum(value * (7, 3, 1)[place % 3] for place, value in enumerate(values)) % 10

    checked = (
        (text[0:9], 9),
        (text[13:19], 19),
        (text[21:27], 27),
        (text[0:10] + text[13:20] + text[21:43], 43),
    )
    return all(check(part) == text[place] - 48 for part, place in checked)
