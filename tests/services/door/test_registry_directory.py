"""The directory: what the door looks up, and what it tells people."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ciyuan.gateway.door_refusals import Protocol
from ciyuan.services.door.registry import Registry
from ciyuan.services.door.registry_directory import ASKED_MAX
from ciyuan.services.door.registry_keys import NEVER, FirewallMode, Permissions, Scope
from ciyuan.services.door.registry_schema import SpenderKind, Subject
from ciyuan.services.door.registry_secrets import new_secret
from ciyuan.services.door.registry_spenders import APPS_MAX
from ciyuan.services.door.registry_words import parse_limit
from tests.services.door.registry_cast import NOW, company_registry


@pytest.fixture
def opened(tmp_path):
    with company_registry(tmp_path / "registry.sqlite") as opened:
        yield opened


def known(directory, secret):
    key = directory.find(secret)
    assert key is not None
    return key


def key_with(registry, cast, **permissions):
    with registry.change(NOW) as change:
        made = change.keys.create(cast.ada.number, "special", Permissions(**permissions))
    return known(registry.directory(), made.text.encode())


def test_a_key_knows_whose_it_is(opened):
    registry, cast = opened
    key = known(registry.directory(), cast.laptop.text.encode())
    assert (key.organisation, key.department, key.engineer, key.name) == ("acme", "research", "ada", "laptop")
    assert (key.spender, key.customer) == (cast.laptop.kept.spender, cast.acme.participant)
    assert (key.shown, key.number, key.firewall) == (cast.laptop.kept.shown, 1, FirewallMode.RULES)
    bot = known(registry.directory(), cast.bot.text.encode())
    assert (bot.department, bot.engineer) == ("ops", "")


def test_what_is_nobodys_is_not_found(opened):
    registry, cast = opened
    directory = registry.directory()
    for secret in (new_secret(), "", cast.laptop.text[:-1], cast.laptop.text.lower()):
        assert directory.find(secret.encode()) is None
    assert directory.in_use(NOW) == 2


def test_a_key_in_a_department_of_a_department_is_the_nearests(opened):
    registry, cast = opened
    with registry.change(NOW) as change:
        nlp = change.spenders.add(SpenderKind.DEPARTMENT, "nlp", cast.research.number)
        made = change.keys.create(nlp.number, "batch", Permissions())
    key = known(registry.directory(), made.text.encode())
    assert key.department == "nlp"
    assert registry.directory().name_of(key.spender) == "acme/research/nlp/batch"


@pytest.mark.parametrize(
    ("models", "tiers", "asked", "may"),
    [
        (None, None, ("anything", "ultra"), True),
        (("kimi-*",), None, ("kimi-k2.6", "high"), True),
        (("kimi-*",), None, ("Kimi-K2.6",), True),
        (("kimi-*",), None, ("not-kimi-k2",), False),
        (("kimi.k2",), None, ("kimi-k2",), False),
        (("gpt-*", "kimi-k2"), None, ("kimi-k2",), True),
        ((), None, ("kimi-k2",), False),
        (None, ("high", "premium"), ("kimi-k2", "high"), True),
        (None, ("high", "premium"), ("kimi-k2", "ultra"), False),
        (None, ("high",), ("kimi-k2", ""), True),
        (("*",), ("high",), ("a\nb", "high"), True),
    ],
)
def test_models_and_tiers_that_a_key_may_use(opened, models, tiers, asked, may):
    assert key_with(*opened, models=models, tiers=tiers).permits(*asked) is may


def test_scopes_are_protocols_and_the_list_of_models(opened):
    key = key_with(*opened, scopes=(Scope.CHAT, Scope.MODELS))
    assert [protocol for protocol in Protocol if key.may_speak(protocol)] == [Protocol.CHAT]
    assert key.may(Scope.MODELS)
    assert not key.may(Scope.EMBEDDINGS)
    registry, cast = opened
    every = known(registry.directory(), cast.laptop.text.encode())
    assert all(every.may_speak(protocol) for protocol in Protocol)


def test_a_directory_is_of_one_version(opened):
    registry, cast = opened
    before = registry.directory()
    with registry.change(NOW + 1) as change:
        change.spenders.close(cast.research.number)
    after = registry.directory()
    assert after.version == before.version + 1 == registry.version()
    laptop = cast.laptop.text.encode()
    assert known(before, laptop).expires_ns == NEVER
    assert known(after, laptop).expires_ns == NOW + 1
    assert (before.in_use(NOW + 1), after.in_use(NOW + 1)) == (2, 1)


def test_numbers_in_words(opened):
    registry, cast = opened
    directory = registry.directory()
    assert directory.limit_words(1) == "department research: 2,000.00 USD a month"
    assert directory.limit_words(77) == "limit 77"
    assert directory.name_of(cast.bot.kept.spender) == "acme/ops/bot"
    assert directory.name_of(77) == "spender 77"


# --- apps ---


def test_an_app_is_the_key_until_it_is_made(opened):
    registry, cast = opened
    directory = registry.directory()
    key = known(directory, cast.laptop.text.encode())
    assert directory.spender_for(key, b"") == key.spender
    assert directory.asked == set()
    assert directory.spender_for(key, "夜报".encode()) == key.spender
    assert directory.asked == {(key.spender, "夜报")}
    assert registry.make_apps(directory.asked, NOW) == {}
    after = registry.directory()
    app = after.spenders[after.spender_for(key, "夜报".encode())]
    assert (app.kind, app.parent, app.participant) == (SpenderKind.APP, key.spender, key.customer)
    assert after.asked == set()


@pytest.mark.parametrize("name", [b"a/b", b" ", b"\0", b"x" * 65, b"12"])
def test_an_app_that_cannot_be_is_the_key(opened, name):
    registry, cast = opened
    directory = registry.directory()
    key = known(directory, cast.laptop.text.encode())
    assert directory.spender_for(key, name) == key.spender
    assert directory.asked == set()


def test_what_clients_name_is_bounded(opened):
    registry, cast = opened
    directory = registry.directory()
    key = known(directory, cast.laptop.text.encode())
    for number in range(ASKED_MAX + 10):
        directory.spender_for(key, f"app {number}".encode())
    assert len(directory.asked) == ASKED_MAX


def test_a_key_that_has_all_its_apps_asks_for_no_more(opened):
    registry, cast = opened
    key = known(registry.directory(), cast.laptop.text.encode())
    assert registry.make_apps({(key.spender, f"app {number}") for number in range(APPS_MAX)}, NOW) == {}
    directory = registry.directory()
    assert directory.spender_for(key, b"one more") == key.spender
    assert directory.spender_for(key, b"app 7") != key.spender
    assert directory.asked == set()


# --- the whole, against a naive model ---

moves = st.lists(
    st.tuples(
        st.sampled_from(
            ("department", "engineer", "key", "close", "reopen", "revoke", "rotate", "limit", "clear")
        ),
        st.integers(0, 50),
        st.integers(0, 3),
    ),
    max_size=25,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(moves)
def test_whatever_is_done_the_directory_is_what_it_came_to(quick_folder, moves):
    """Ends of secrets and limits in force, by a second and naive count."""
    path = Path(tempfile.mkdtemp(dir=quick_folder)) / "registry.sqlite"
    ends: dict[bytes, tuple[int, int]] = {}  # digest: (spender, its own end)
    closed: dict[int, int] = {}
    parents: dict[int, int] = {}
    limits: dict[tuple[int, int], int] = {}
    with company_registry(path) as (registry, cast):
        for spender in registry.directory().spenders.values():
            parents[spender.number] = spender.parent
        for made in (cast.laptop, cast.bot):
            ends[made.kept.digest] = made.kept.spender, NEVER
        for now_ns, move in enumerate(moves, NOW + 1):
            _take(registry, now_ns, move, ends, closed, parents, limits)
        directory = registry.directory()
        for digest, (owner, end) in ends.items():
            line = [owner]
            while parents[line[-1]]:
                line.append(parents[line[-1]])
            expected = min([end, *(closed[each] for each in line if each in closed)])
            assert directory.by_digest[digest].expires_ns == expected
        assert set(directory.by_digest) == set(ends)
        assert {(limit.spender, int(limit.window)): limit.most for limit in directory.limits.values()
                if limit.most is not None and limit.spender != cast.research.number} == limits  # fmt: skip
    shutil.rmtree(path.parent)


def _take(registry: Registry, now_ns, move, ends, closed, parents, limits):
    what, which, how = move
    with registry.change(now_ns) as change:
        spenders = list(change.spenders.tree.by_number.values())
        one = spenders[which % len(spenders)]
        if (
            what in {"department", "engineer"}
            and one.kind in {"organisation", "department"}
            and one.number < 20
        ):
            spender = change.spenders.add(SpenderKind(what), f"{what} {now_ns}", one.number)
            parents[spender.number] = one.number
        elif (
            what == "key"
            and one.kind not in {"key", "app"}
            and not change.spenders.tree.closed_ns(one.number)
        ):
            made = change.keys.create(one.number, f"key {now_ns}", Permissions())
            parents[made.kept.spender], ends[made.kept.digest] = one.number, (made.kept.spender, NEVER)
        elif what == "close" and one.number not in closed:
            change.spenders.close(one.number)
            closed[one.number] = now_ns
        elif what == "reopen":
            change.spenders.reopen(one.number)
            closed.pop(one.number, None)
        elif what == "revoke":
            digest, (owner, end) = list(ends.items())[which % len(ends)]
            change.keys.revoke([one.number for one in change.directory().secrets if one.digest == digest])
            if end > now_ns:
                ends[digest] = owner, now_ns
        elif what == "rotate" and one.kind == "key" and change.spenders.tree.closed_ns(one.number) is None:
            live = change.keys.live(one.number)
            if live:
                made = change.keys.rotate(one.number, how)
                ends[live[-1].digest] = one.number, min(ends[live[-1].digest][1], now_ns + how)
                ends[made.kept.digest] = one.number, made.kept.ends_ns
        elif what == "limit" and one.name != "research":
            limit = change.limits.set(
                one.number, parse_limit(f"{how} USD a {('day', 'month', 'year', 'minute')[how]}")
            )
            limits[one.number, int(limit.window)] = how * 10**6
        elif what == "clear":
            for limit in change.limits.of(one.number)[:1]:
                if one.name != "research":
                    change.limits.clear(limit.number)
                    limits.pop((one.number, int(limit.window)), None)


def test_refusals_are_found_by_what_they_are_of(opened):
    registry, _ = opened
    with registry.change(NOW) as change:
        change.refuse(Subject.LIMIT, 1, "content", "LIMITS_FULL")
    with registry.change(NOW + 1) as change:
        change.refuse(Subject.LIMIT, 1, "other", "SPENDER_UNKNOWN")
    refused = registry.directory().refused[Subject.LIMIT, 1]
    assert (refused.content, refused.reason, refused.told_ns) == ("other", "SPENDER_UNKNOWN", NOW + 1)
    with registry.change(NOW) as change:
        change.accept(Subject.LIMIT, 1)
    assert registry.directory().refused == {}
