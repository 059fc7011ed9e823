"""Keys: made, rotated, revoked; when a secret ends, and what it may do meanwhile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.basics.time import NS_PER_DAY, NS_PER_SECOND
from ciyuan.gateway.firewall_agent import AgentPolicy
from ciyuan.services.door.registry_keys import (
    NEVER,
    PATTERNS_MAX,
    TIERS,
    FirewallMode,
    Permissions,
    Scope,
    permissions_text,
)
from ciyuan.services.door.registry_schema import SpenderKind
from ciyuan.services.door.registry_secrets import digest_of, is_well_formed
from tests.services.door.registry_cast import NOW, company_registry

names = st.lists(st.text("abc*-", min_size=1, max_size=6), max_size=3).map(tuple)
policies = st.builds(AgentPolicy, st.none() | names, names, st.none() | names, names)
permissions = st.builds(
    Permissions,
    st.lists(st.sampled_from(Scope), min_size=1, unique=True).map(tuple),
    st.none() | names,
    st.none() | st.lists(st.sampled_from(TIERS), unique=True).map(tuple),
    policies,
    st.sampled_from(FirewallMode),
)


@pytest.fixture
def opened(tmp_path):
    with company_registry(tmp_path / "registry.sqlite") as opened:
        yield opened


def key_of(registry, made):
    return registry.directory().find(made.text.encode())


def test_a_secret_is_told_once_and_kept_by_its_digest_alone(opened, tmp_path):
    registry, cast = opened
    made = cast.laptop
    assert is_well_formed(made.text)
    assert made.kept.digest == digest_of(made.text)
    assert made.text not in repr(made)
    registry.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert made.kept.digest.hex().encode() in stored
    assert made.text.encode() not in stored


def test_a_key_lasts_until_its_time(opened):
    registry, cast = opened
    with registry.change(NOW) as change:
        made = change.keys.create(cast.ada.number, "short", Permissions(), NOW + 1)
    assert made.kept.expires_ns == NOW + NS_PER_SECOND
    assert key_of(registry, made).expires_ns == NOW + NS_PER_SECOND
    assert key_of(registry, cast.laptop).expires_ns == NEVER


@pytest.mark.parametrize("expires_ns", [NOW, NOW - 1, 0, NEVER])
def test_a_key_does_not_expire_in_the_past(opened, expires_ns):
    registry, cast = opened
    with pytest.raises(Malformed, match="a moment to come"), registry.change(NOW) as change:
        change.keys.create(cast.ada.number, "short", Permissions(), expires_ns)
    assert registry.directory().tree.child(cast.ada.number, "short") is None


def test_a_name_in_use_is_not_given_twice(opened):
    registry, cast = opened
    for parent, name in ((cast.ada.number, "laptop"), (cast.research.number, "ada")):
        with pytest.raises(Malformed, match="in use"), registry.change(NOW) as change:
            change.keys.create(parent, name, Permissions())
    assert len(registry.directory().secrets) == 2


def test_a_key_that_has_ended_comes_again_under_its_number(opened):
    registry, cast = opened
    with registry.change(NOW) as change:
        assert change.keys.revoke([cast.laptop.kept.number]) == 1
        assert change.keys.revoke([cast.laptop.kept.number, 99]) == 0
    with registry.change(NOW + 1) as change:
        change.spenders.close(cast.laptop.kept.spender)
    with registry.change(NOW + 2) as change:
        again = change.keys.create(cast.ada.number, "laptop", Permissions())
    assert again.kept.spender == cast.laptop.kept.spender
    assert key_of(registry, again).expires_ns == NEVER
    assert key_of(registry, cast.laptop).expires_ns == NOW


def test_a_rotated_key_has_two_secrets_for_a_while(opened):
    registry, cast = opened
    allowed = Permissions(models=("kimi-*",))
    with registry.change(NOW) as change:
        before = change.keys.create(cast.ada.number, "ci", allowed, NOW + 30 * NS_PER_DAY)
    later = NOW + 10 * NS_PER_DAY
    with registry.change(later) as change:
        after = change.keys.rotate(before.kept.spender, 7 * NS_PER_DAY)
    assert after.text != before.text
    assert (after.kept.spender, after.kept.permissions) == (before.kept.spender, allowed)
    assert after.kept.rotated_from == before.kept.number
    assert key_of(registry, before).expires_ns == later + 7 * NS_PER_DAY
    assert key_of(registry, after).expires_ns == later + 30 * NS_PER_DAY


def test_a_grace_lengthens_no_life(opened):
    registry, cast = opened
    with registry.change(NOW) as change:
        before = change.keys.create(cast.ada.number, "ci", Permissions(), NOW + NS_PER_DAY)
        after = change.keys.rotate(before.kept.spender, 7 * NS_PER_DAY, NOW + 2 * NS_PER_DAY)
        last = change.keys.rotate(before.kept.spender, 0)
    assert key_of(registry, before).expires_ns == NOW + NS_PER_DAY
    assert key_of(registry, after).expires_ns == NOW
    assert last.kept.rotated_from == after.kept.number


def test_what_has_ended_or_is_closed_is_not_rotated(opened):
    registry, cast = opened
    with registry.change(NOW) as change:
        change.keys.revoke([cast.laptop.kept.number])
        change.spenders.close(cast.ops.number)
    for made in (cast.laptop, cast.bot):
        with pytest.raises(Malformed, match="no secret in use"), registry.change(NOW) as change:
            change.keys.rotate(made.kept.spender, 0)
    assert len(registry.directory().secrets) == 2


def test_below_whom_is_closed_no_key_is_made(opened):
    registry, cast = opened
    with registry.change(NOW) as change:
        change.spenders.close(cast.research.number)
    with pytest.raises(Malformed, match="acme/research/ada, which is closed"), registry.change(NOW) as change:
        change.keys.create(cast.ada.number, "phone", Permissions())
    assert len(registry.directory().secrets) == 2


def test_permissions_change_for_all_live_secrets(opened):
    registry, cast = opened
    less = Permissions(scopes=(Scope.CHAT,))
    with registry.change(NOW) as change:
        second = change.keys.rotate(cast.laptop.kept.spender, NS_PER_DAY)
        assert change.keys.permit(cast.laptop.kept.spender, less) == 2
        assert change.keys.permit(cast.laptop.kept.spender, less) == 0
        change.keys.expire(second.kept.number, NOW + NS_PER_DAY)
    for made in (cast.laptop, second):
        assert key_of(registry, made).permissions == less
    assert key_of(registry, second).expires_ns == NOW + NS_PER_DAY


def test_a_key_is_below_somebody(opened):
    registry, cast = opened
    with pytest.raises(Malformed, match="key ci"), registry.change(NOW) as change:
        change.keys.create(cast.laptop.kept.spender, "ci", Permissions())
    assert registry.directory().tree.child(cast.laptop.kept.spender, "ci") is None


@given(permissions)
def test_permissions_are_kept_as_they_are(allowed):
    import msgspec

    text = permissions_text(allowed)
    assert msgspec.json.decode(text, type=Permissions) == allowed
    assert permissions_text(msgspec.json.decode(text, type=Permissions)) == text


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda: Permissions(scopes=()), "scopes of a key"),
        (lambda: Permissions(tiers=("ulta",)), "tiers of a key"),
        (lambda: Permissions(models=("a",) * (PATTERNS_MAX + 1)), "at most 64"),
        (lambda: Permissions(policy=AgentPolicy(hosts_denied=("",))), "printable"),
    ],
)
def test_permissions_that_cannot_be(made, says):
    with pytest.raises(Malformed, match=says):
        made()


def test_the_kinds_are_the_tables_own(opened):
    registry, _ = opened
    with registry.database.view() as sql:
        kinds = {row[0] for row in sql.rows("SELECT kind FROM spenders")}
    assert kinds == {str(kind) for kind in SpenderKind if kind is not SpenderKind.APP}
