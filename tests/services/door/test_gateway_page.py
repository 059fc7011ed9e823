"""The door's page says what the code does: paths, statuses, bounds, headers, numbers of its rules."""

import re

from ciyuan.gateway.door_refusals import PATHS, WORDS, DoorRefusal
from ciyuan.services.door.call import ATTEMPTS_MAX, DRAIN_NS
from ciyuan.services.door.client_connection import FIRST_BYTE_S, HEAD_BYTES_MAX, IDLE_S, WRITE_BYTES_HIGH
from ciyuan.services.door.door import BODY_BYTES_MAX, CENTIBYTES_PER_TOKEN
from ciyuan.services.door.idempotency import KEPT_NS
from ciyuan.services.door.serving import ServeOrder
from ciyuan.services.door.supplier_site import PASSED, SETTLING_NS
from tests.sources import bare, table, text_of

PAGE = text_of("docs/spec/gateway.md")
WORDS_OF_PAGE = " ".join(PAGE.split())


def test_rules_are_numbered_without_a_gap():
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", PAGE, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_paths_are_the_doors():
    rows = [bare(row) for row in table(PAGE, "path", "protocol")]
    assert [row[0] for row in rows] == list(PATHS)
    assert [row[2] for row in rows] == ["no" if "embeddings" in path else "yes" for path in PATHS]


def test_the_bounds_are_the_codes():
    said = (
        f"a head of {HEAD_BYTES_MAX // 2**10} KiB, a body of {BODY_BYTES_MAX // 2**20} MiB",
        f"{FIRST_BYTE_S} s for a request to be whole, {IDLE_S} s between two",
        f"0 to {ATTEMPTS_MAX - 1}",
        f"heard to their end for {DRAIN_NS // 10**9} s",
        f"no more than {WRITE_BYTES_HIGH // 2**10} KiB wait",
        f"`--drain-s` ({ServeOrder.__dataclass_fields__['drain_s'].default:g} s)",
    )
    assert [words for words in said if words not in WORDS_OF_PAGE] == []
    assert (SETTLING_NS, CENTIBYTES_PER_TOKEN, KEPT_NS) == (120 * 10**9, 400, 86_400 * 10**9)
    assert [
        "two minutes" in WORDS_OF_PAGE,
        "a token for four bytes" in WORDS_OF_PAGE,
        "within a day" in WORDS_OF_PAGE,
    ] == [True] * 3


def test_the_headers_that_go_on_are_the_codes():
    rows = {row[0]: row[1] for row in table(PAGE, "header", "means")}
    named = next(names for names, meaning in rows.items() if "go on to the supplier" in meaning)
    assert {name.decode() for name in PASSED} | {"anthropic-version"} == set(re.findall(r"`([\w-]+)`", named))


def test_each_refusals_status_is_in_the_order_of_the_steps():
    rows = [row[1] for row in table(PAGE, "step", "refuses with")]
    statuses = {int(number) for row in rows for number in re.findall(r"\b[45]\d\d\b", row)}
    after_the_hold = {DoorRefusal.SUPPLIER_FAILED, DoorRefusal.SUPPLIER_TIMED_OUT}
    assert {words.status for refusal, words in WORDS.items() if refusal not in after_the_hold} <= statuses
    assert "502, 503 or 504 in our words" in WORDS_OF_PAGE
