"""docs/spec/routing.md is as built: its tables are read here and played."""

import re
from dataclasses import fields

import pytest

from ciyuan.basics.money import parse_micro
from ciyuan.basics.time import NS_PER_MINUTE, NS_PER_SECOND
from ciyuan.gateway.answer import EndingKind
from ciyuan.gateway.route import HEDGE_SAMPLES_MIN
from ciyuan.gateway.route_endings import TRIED_AGAIN, Result, result_of
from ciyuan.gateway.route_exam import SIGMAS, SPEED_BP, TTFT_BP, Reason
from ciyuan.gateway.route_health import CircuitState
from ciyuan.gateway.route_lane import Standing
from ciyuan.gateway.route_limits import SAVED_ATTEMPTS_MAX
from ciyuan.gateway.route_measure import SAMPLES_KEPT, more_often
from ciyuan.gateway.route_offers import Limits
from ciyuan.gateway.route_policy import RoutePolicy
from ciyuan.gateway.route_price import PRIOR_TOKENS, Prices
from ciyuan.gateway.route_watch import OUTPUT_TOKENS_MIN, SAMPLES_MIN
from ciyuan.gateway.route_watch import SIGMAS as WATCH_SIGMAS
from ciyuan.services.catalog_supplier_prices import PIECE_KEYS, TOKEN_KEYS
from ciyuan.services.catalog_suppliers import SupplierTimeouts
from tests.gateway.routes import NOW, offer, play, priced, router, used, wanted
from tests.sources import ROOT

PAGE = (ROOT / "docs" / "spec" / "routing.md").read_text(encoding="utf-8")
FLAT = re.sub(r"\s+", " ", PAGE)


def table(*heads: str) -> list[list[str]]:
    """The cells of the first table whose head begins so, without its head; code without its quotes."""
    lines = PAGE[PAGE.index("| " + " | ".join(heads) + " |") :].split("\n\n", maxsplit=1)[0].splitlines()
    return [[cell.strip().strip("`") for cell in line.strip().strip("|").split("|")] for line in lines[2:]]


def test_rules_are_numbered_without_a_gap():
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", PAGE, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize(
    ("heads", "names"),
    [
        (("standing", "when"), Standing),
        (("result", "when"), Result),
        (("state", "requests go"), CircuitState),
    ],
)
def test_the_page_explains_every_word(heads, names):
    assert [row[0] for row in table(*heads)] == [name.name for name in names]


def test_reasons_are_named_in_their_order():
    said = PAGE[PAGE.index("20. A count") : PAGE.index("| standing | window judged")]
    assert re.findall(r"`([A-Z]+)`", said) == [reason.name for reason in Reason if reason]


def test_what_may_be_tried_again_is_what_the_page_says():
    for name, _, _, again in table("result", "when"):
        assert (Result[name] in TRIED_AGAIN) is (again == "yes"), name


def test_each_status_is_in_the_row_that_the_page_puts_it_in():
    named: dict[int, Result] = {}
    for name, when, *_ in table("result", "when"):
        named |= {int(status): Result[name] for status in re.findall(r"\b\d{3}\b", when)}
    assert set(named) == {401, 402, 403, 404, 408, 409, 425, 429, 529}
    for status in range(400, 600):
        expected = named.get(status, Result.REQUEST_REFUSED if status < 500 else Result.FAILED)
        assert result_of(EndingKind.ERROR_BEFORE_TOKEN, status) is expected, status


def test_numbers_are_the_policy_s():
    policy = RoutePolicy()
    said = {name: int(value) for name, value in table("number", "default")}
    whole = {field.name for field in fields(policy) if isinstance(getattr(policy, field.name), int)}
    assert said == {name: getattr(policy, name) for name in whole}
    assert not any((policy.hedge_tiers, policy.strict_tiers, policy.queue_places, policy.fallbacks))


def test_the_other_numbers_are_the_code_s():
    for shown in (
        f"counts as {PRIOR_TOKENS:,} tokens heard", f"up to {SAVED_ATTEMPTS_MAX} are saved",
        f"last {SAMPLES_KEPT} ({HEDGE_SAMPLES_MIN} or more)",
        f"of answers with {OUTPUT_TOKENS_MIN} or more", f"of {SAMPLES_MIN} or more of late",
    ):  # fmt: skip
        assert shown in FLAT, shown
    assert (WATCH_SIGMAS, SIGMAS, TTFT_BP, SPEED_BP) == (2, 3, 500, 5_000)
    timeouts = SupplierTimeouts()
    seconds = [getattr(timeouts, field.name) // NS_PER_SECOND for field in fields(timeouts)]
    (row,) = [row for row in table("key", "what it is") if row[0] == "timeouts"]
    assert row[2] == ", ".join(map(str, seconds))


@pytest.mark.parametrize("row", table("bound", "100 answers"), ids=lambda row: row[0])
def test_so_many_bad_answers_fail_a_window(row):
    share_bp = {"availability": 50, "5%": TTFT_BP, "50%": SPEED_BP}[row[0].split()[0]]
    for of, least in zip((100, 1_000, 10_000), map(int, row[1:]), strict=True):
        assert more_often(least, of, share_bp, SIGMAS)
        assert not more_often(least - 1, of, share_bp, SIGMAS)


def list_of(row):
    return priced(parse_micro(row[1]), parse_micro(row[3]), cached=parse_micro(row[2]))


@pytest.mark.parametrize("row", table("offer", "input"), ids=lambda row: row[0])
def test_the_worked_example_costs_what_it_says(row):
    prices = Prices(list_of(row), 100 * int(row[5].strip("%")), caches=row[4] == "yes")
    assert prices.expected_pico(10_000, 500, continued=row[4] == "yes") == int(row[6]) * 10**6


def test_the_worked_example_is_chosen_as_it_says():
    rows = {row[0]: row for row in table("offer", "input")}
    made = {
        name: offer(
            number, prices=list_of(row), cache_ns=5 * NS_PER_MINUTE if name == "C" else 0, hit_bp=8_000
        )
        for number, (name, row) in enumerate(rows.items(), 1)
    }
    route = router(*made.values(), failures_in_a_row=1)
    talk = {"session": 7, "tokens": (10_000, 500)}
    now_ns = play(route, route.sent(wanted(1, **talk), made["C"], NOW), NOW, usage=used(10_000, 500))
    for request, best in ((2, "C"), (3, "B")):
        route.ended(route.sent(wanted(10 * request), made["D"], now_ns), Result.REFUSED_US, now_ns)
        found = route.choose(wanted(request, **talk), now_ns)
        assert found.number == made[best].number
        now_ns += 10 * NS_PER_MINUTE
    assert Prices(list_of(rows["C"])).expected_pico(10_000, 500) == 33_000 * 10**6


@pytest.mark.parametrize("rule", ["29. Keys of", "30. Keys of"])
def test_keys_of_the_file_are_those_that_the_reader_asks_for(rule):
    folder = ROOT / "src" / "ciyuan" / "services"
    source = "".join((folder / f"catalog_{name}.py").read_text() for name in ("suppliers", "supplier_models"))
    rows = [line for line in PAGE[PAGE.index(rule) :].split("\n\n")[1].splitlines() if line.startswith("| `")]
    asked = set(re.findall(r'"([a-z_]+)"', source))
    keys = {key for row in rows for key in re.findall(r"`([a-z_]+)`", row.split("|")[1])}
    assert len(keys) >= 9
    assert not keys - asked - {"headers"}


def test_keys_of_prices_are_those_of_the_legs():
    assert dict(table("key", "leg")) == {key: leg.name for key, leg in TOKEN_KEYS.items()}
    assert f"and each: {', '.join(f'`{key}`' for key in PIECE_KEYS)}." in FLAT


def test_limits_are_those_that_the_page_names():
    (row,) = [row for row in table("key", "what it is") if row[0] == "limits"]
    assert re.findall(r"`?(\w+)`?", row[1])[:3] == list(Limits._fields)
