"""A team's file: read strictly, planned step by step, taken once, and written so that it can be read again."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.basics.time import NS_PER_DAY, ns_from_iso
from ciyuan.gateway.firewall_agent import AgentPolicy
from ciyuan.services.door.registry import Registry
from ciyuan.services.door.registry_keys import NEVER, FirewallMode, Permissions, Scope
from ciyuan.services.door.registry_schema import SpenderKind
from ciyuan.services.door.registry_team import doubts, plan, read_team, take_steps, team_text
from tests.services.door.registry_cast import NOW, company_registry
from tests.services.door.test_registry_keys import permissions

TEAM = """
[organisation."acme"]
limits = ["10,000 USD a month"]

[department."acme/research"]
limits = ["2,000 USD a month", "20M tokens a day at +08:00"]

[engineer."acme/research/ada"]
limits = ["500 USD a year", "60 requests a minute"]

[key."acme/research/ada/laptop"]
models = ["kimi-*"]
tiers = ["high"]
scopes = ["chat", "models"]
tools_denied = ["shell"]
hosts_allowed = ["*.example.com"]
firewall = "block"
expires = 2027-01-01
limits = ["5 USD a day"]

[department."acme/ops"]
[key."acme/ops/bot"]
"""


@pytest.fixture
def registry(tmp_path):
    with Registry.open(tmp_path / "registry.sqlite") as registry:
        yield registry


def steps_of(registry, path, text, now_ns=NOW):
    path.write_text(text)
    return plan(read_team(path), registry.directory(), now_ns)


def take(registry, path, text, now_ns=NOW):
    """Take a file in; its steps as words, and the secrets that it made."""
    steps = steps_of(registry, path, text, now_ns)
    with registry.change(now_ns) as change:
        made = take_steps(steps, change)
    return [f"{step.sign} {step.path} {step.what}" for step in steps], made


def test_a_team_is_set_up_at_once_and_a_second_time_does_nothing(registry, tmp_path):
    steps, made = take(registry, tmp_path / "team.toml", TEAM)
    assert steps == [
        "+ acme organisation",
        "+ acme 10,000.00 USD a month",
        "+ acme/ops department",
        "+ acme/research department",
        "+ acme/research 2,000.00 USD a month",
        "+ acme/research 20M tokens a day at +08:00",
        "+ acme/ops/bot key",
        "+ acme/research/ada engineer",
        "+ acme/research/ada 500.00 USD a year",
        "+ acme/research/ada 60 requests a minute",
        "+ acme/research/ada/laptop key",
        "+ acme/research/ada/laptop 5.00 USD a day",
    ]
    assert [path for path, _ in made] == ["acme/ops/bot", "acme/research/ada/laptop"]
    key = registry.directory().by_digest[made[1][1].kept.digest]
    assert key.permissions == Permissions(
        (Scope.CHAT, Scope.MODELS), ("kimi-*",), ("high",), AgentPolicy(None, ("shell",), ("*.example.com",), ()),
        FirewallMode.BLOCK,
    )  # fmt: skip
    assert key.expires_ns == ns_from_iso("2027-01-01T00:00:00Z")
    version = registry.version()
    assert take(registry, tmp_path / "team.toml", TEAM, NOW + NS_PER_DAY) == ([], [])
    assert registry.version() == version


def test_what_changes_in_the_file_changes_and_nothing_else(registry, tmp_path):
    take(registry, tmp_path / "team.toml", TEAM)
    changed = TEAM.replace("2,000 USD", "3,000 USD").replace(', "60 requests a minute"', "").replace(
        'models = ["kimi-*"]', 'models = ["*"]'
    ).replace("expires = 2027-01-01", 'expires = "2027-02-01T09:00:00+08:00"').replace(
        '[department."acme/ops"]', '[department."acme/ops"]\nstate = "closed"'
    )  # fmt: skip
    steps, made = take(registry, tmp_path / "team.toml", changed)
    assert steps == [
        "~ acme/research 3,000.00 USD a month",
        "- acme/research/ada 60 requests a minute",
        "~ acme/research/ada/laptop permissions",
        "~ acme/research/ada/laptop expires 2027-02-01T01:00:00Z",
        "- acme/ops closed",
    ]
    assert made == []
    opened = changed.replace('state = "closed"', 'state = "open"')
    assert take(registry, tmp_path / "team.toml", opened)[0] == ["+ acme/ops open again"]


def test_what_a_file_does_not_say_stays(registry, tmp_path):
    take(registry, tmp_path / "team.toml", TEAM)
    less = '[organisation."acme"]\n[key."acme/research/ada/laptop"]\n'
    assert take(registry, tmp_path / "team.toml", less) == ([], [])
    none = '[organisation."acme"]\nlimits = []\n'
    assert take(registry, tmp_path / "team.toml", none)[0] == ["- acme 10,000.00 USD a month"]


def test_a_revoked_key_does_not_come_back(registry, tmp_path):
    _, made = take(registry, tmp_path / "team.toml", TEAM)
    with registry.change(NOW) as change:
        change.keys.revoke([secret.kept.number for _, secret in made])
    assert take(registry, tmp_path / "team.toml", TEAM) == ([], [])
    assert registry.directory().in_use(NOW) == 0


def test_a_closed_department_with_keys_is_set_up_closed(registry, tmp_path):
    closed = TEAM.replace('[department."acme/ops"]', '[department."acme/ops"]\nstate = "closed"')
    steps, made = take(registry, tmp_path / "team.toml", closed)
    assert (len(steps), steps[-1], len(made)) == (13, "- acme/ops closed", 2)
    assert registry.directory().in_use(NOW) == 1
    assert take(registry, tmp_path / "again.toml", team_text(registry.directory(), NOW)) == ([], [])


def test_two_hundred_engineers(registry, tmp_path):
    people = "".join(
        f'[engineer."acme/ops/e{number:03}"]\nlimits = ["500 USD a year"]\n[key."acme/ops/e{number:03}/laptop"]\n'
        for number in range(200)
    )
    steps, made = take(registry, tmp_path / "team.toml", TEAM + people)
    assert (len(steps), len(made)) == (12 + 600, 202)
    assert len({secret.text for _, secret in made}) == 202
    assert take(registry, tmp_path / "team.toml", TEAM + people) == ([], [])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[engineer."acme/ada"]', "spender acme: found 'acme'"),
        ('[organisation."acme/research"]', "a name without /"),
        ('[organisation."acme"]\nlimit = []', "limit"),
        ('[organisation."acme"]\nlimits = ["50 USD"]', "limit: found '50 USD'"),
        ('[organisation."acme"]\nlimits = ["5 USD a day", "6 USD a day"]', "one limit for a unit and window"),
        ('[organisation."acme"]\nlimits = "5 USD a day"', "a list"),
        ('[organisation."acme"]\nmodels = ["a"]', "models"),
        ('[organisation."acme"]\nstate = "gone"', "open, closed"),
        ("[organisation]\nacme = 5", "a table"),
        ("[team.acme]", "team"),
        ('[organisation."acme"]\n[key."acme/k"]\nscopes = ["chatt"]', "chatt"),
        ('[organisation."acme"]\n[key."acme/k"]\ntiers = ["ulta"]', "ulta"),
        ('[organisation."acme"]\n[key."acme/k"]\nexpires = 2027-01-01T00:00:00Z', "in quotes"),
        ('[organisation."acme"]\n[key."acme/k"]\nexpires = "2027-01-01T00:00:00"', "zone"),
        ('[organisation."acme"]\n[key."acme/k"]\nexpires = 5', "a text"),
        ('[organisation."acme"]\n[organisation."acme"]', "TOML"),
        ("[", "TOML"),
    ],
)
def test_what_a_file_cannot_say_is_refused_by_its_place(registry, tmp_path, text, says):
    with pytest.raises(Malformed, match=says):
        take(registry, tmp_path / "team.toml", text)
    assert dict(registry.directory().spenders) == {}


def test_what_a_step_cannot_do_undoes_all(registry, tmp_path):
    bad = TEAM + '[engineer."acme/research/ada/laptop/sub"]\n'
    with pytest.raises(Malformed, match="engineer sub"):
        take(registry, tmp_path / "team.toml", bad)
    assert dict(registry.directory().spenders) == {}


def test_a_spender_stays_what_it_is(registry, tmp_path):
    take(registry, tmp_path / "team.toml", TEAM)
    with pytest.raises(Malformed, match="department of that path"):
        take(registry, tmp_path / "team.toml", '[engineer."acme/research"]')


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(Malformed, match="can be read"):
        read_team(tmp_path / "team.toml")


def test_a_wrong_unit_is_doubted_by_its_place(tmp_path):
    """Case 25, in a file."""
    (tmp_path / "team.toml").write_text(
        '[organisation."acme"]\nlimits = ["20 tokens a month", "5 USD a day"]'
    )
    (said,) = doubts(read_team(tmp_path / "team.toml"))
    assert said.startswith("acme, 20 tokens a month: fewer than 1,000 tokens")


def test_a_part_of_the_tree_is_written_alone(tmp_path):
    with company_registry(tmp_path / "registry.sqlite") as (registry, cast):
        with registry.change(NOW) as change:
            change.keys.revoke([cast.bot.kept.number])
            change.spenders.close(cast.ops.number)
        text = team_text(registry.directory(), NOW, cast.research.number)
        assert '[department."acme/research"]\nlimits = ["2,000.00 USD a month"]' in text
        assert "ops" not in text
        whole = team_text(registry.directory(), NOW)
        assert '[department."acme/ops"]\nstate = "closed"' in whole
        assert "bot" not in whole
        assert cast.laptop.text not in whole


names = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(names, permissions, st.none() | st.integers(1, 400)), max_size=4))
def test_what_is_written_is_read_again(quick_folder, keys):
    """A file of a registry changes nothing in it, and sets up the same in an empty one."""
    folder = Path(tempfile.mkdtemp(dir=quick_folder))
    with Registry.open(folder / "one.sqlite") as one, Registry.open(folder / "other.sqlite") as other:
        with one.change(NOW) as change:
            top = change.spenders.add(SpenderKind.ORGANISATION, 'a "quoted" \\ name')
            for place, (name, allowed, days) in enumerate(keys):
                ends_ns = None if days is None else NOW + days * NS_PER_DAY
                change.keys.create(
                    top.number, f"k{place} {name}"[:60].strip().replace("/", "-"), allowed, ends_ns
                )
        text = team_text(one.directory(), NOW)
        assert take(one, folder / "team.toml", text) == ([], [])
        take(other, folder / "team.toml", text)
        assert team_text(other.directory(), NOW) == text
        kept = [
            {
                (each.name, each.permissions, min(each.expires_ns, NEVER))
                for each in registry.directory().by_digest.values()
            }
            for registry in (one, other)
        ]
        assert kept[0] == kept[1]
    shutil.rmtree(folder)
