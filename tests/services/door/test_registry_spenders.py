"""The tree of spenders: places, paths, names, and who can no longer spend."""

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.messages import DEPTH_MAX, SPENDER_MAX
from ciyuan.services.door.registry import Registry
from ciyuan.services.door.registry_schema import PARENTS, SpenderKind
from ciyuan.services.door.registry_spenders import ROOT, checked_name, is_name
from tests.services.door.registry_cast import NOW, company_registry

ORGANISATION, DEPARTMENT, ENGINEER, KEY, APP = SpenderKind


@pytest.fixture
def opened(tmp_path):
    with company_registry(tmp_path / "registry.sqlite") as opened:
        yield opened


def add(registry, kind, name, parent):
    with registry.change(NOW) as change:
        return change.spenders.add(kind, name, parent)


def test_paths_lead_to_spenders_and_back(opened):
    registry, cast = opened
    tree = registry.directory().tree
    assert tree.path(cast.laptop.kept.spender) == "acme/research/ada/laptop"
    assert [spender.name for spender in tree.line(cast.ada.number)] == ["acme", "research", "ada"]
    assert tree.find("acme/research") == cast.research
    assert [spender.name for spender in tree.children(cast.acme.number)] == ["ops", "research"]
    assert [spender.name for spender in tree.below(cast.research.number)] == ["research", "ada", "laptop"]
    assert len(list(tree.below(ROOT))) == len(tree.by_number) == 6


def test_an_organisation_pays_for_all_below_it(opened):
    registry, cast = opened
    other = add(registry, ORGANISATION, "umbrella", ROOT)
    tree = registry.directory().tree
    assert {spender.participant for spender in tree.below(cast.acme.number)} == {cast.acme.participant}
    assert other.participant != cast.acme.participant
    assert registry.directory().participants[other.participant].name == "umbrella"


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("acme/reserch", "one of ops, research, in acme/"),
        ("umbrella", "one of acme, in the registry"),
        ("acme/research/ada/laptop/app", "nothing below acme/research/ada/laptop/"),
        ("", "one of acme"),
    ],
)
def test_a_path_that_leads_nowhere_says_what_there_is(opened, path, says):
    with pytest.raises(Malformed, match=says):
        opened[0].directory().tree.find(path)


def test_many_names_are_not_all_listed(opened):
    registry, cast = opened
    with registry.change(NOW) as change:
        for number in range(20):
            change.spenders.add(ENGINEER, f"e{number:02}", cast.ops.number)
    with pytest.raises(Malformed, match=r"bot, e00, .*, e10 and 9 more"):
        registry.directory().tree.find("acme/ops/nobody")


@pytest.mark.parametrize("kind", SpenderKind)
@pytest.mark.parametrize("above", ["root", "acme", "research", "ada", "laptop"])
def test_each_kind_stands_where_it_can(opened, kind, above):
    registry, cast = opened
    parents = {"root": None, "acme": ORGANISATION, "research": DEPARTMENT, "ada": ENGINEER, "laptop": KEY}
    numbers = {"root": ROOT, "acme": cast.acme.number, "research": cast.research.number, "ada": cast.ada.number,
               "laptop": cast.laptop.kept.spender}  # fmt: skip
    allowed = PARENTS[kind]
    possible = not allowed if parents[above] is None else parents[above] in allowed
    if possible:
        assert add(registry, kind, "new", numbers[above]).parent == numbers[above]
    else:
        with pytest.raises(Malformed, match=f"{kind} new"):
            add(registry, kind, "new", numbers[above])


def test_a_name_is_taken_by_any_sibling(opened):
    registry, cast = opened
    with pytest.raises(Malformed, match="taken"):
        add(registry, ENGINEER, "research", cast.acme.number)
    assert add(registry, ENGINEER, "research", cast.ops.number).name == "research"


def test_a_line_is_no_longer_than_the_meters(opened):
    registry, cast = opened
    parent = cast.research
    for depth in range(3, DEPTH_MAX + 1):
        parent = add(registry, DEPARTMENT, f"level {depth}", parent.number)
    with pytest.raises(Malformed, match="at most 8"):
        add(registry, KEY, "too deep", parent.number)


def test_numbers_end_where_the_meters_do(opened):
    registry, cast = opened
    with registry.change(NOW) as change:
        change.sql.run(
            "INSERT INTO spenders VALUES (?, 'department', 'last', ?, ?, 0, NULL)",
            *(SPENDER_MAX, cast.acme.number, cast.acme.participant),
        )
    with pytest.raises(Malformed, match="2147483647"):
        add(registry, DEPARTMENT, "one more", cast.acme.number)


def test_who_is_closed_is_closed_with_all_below(opened):
    registry, cast = opened
    with registry.change(NOW + 5) as change:
        assert change.spenders.close(cast.research.number).closed_ns == NOW + 5
    with registry.change(NOW + 9) as change:
        assert change.spenders.close(cast.research.number).closed_ns == NOW + 5
        change.spenders.close(cast.ada.number)
    tree = registry.directory().tree
    assert tree.closed_ns(cast.laptop.kept.spender) == NOW + 5
    assert tree.closed_ns(cast.ops.number) is None
    with registry.change(NOW + 20) as change:
        change.spenders.reopen(cast.research.number)
    assert registry.directory().tree.closed_ns(cast.laptop.kept.spender) == NOW + 9


@pytest.mark.parametrize("name", ["", "a/b", " a", "12", "sk-ciyuan-x", "a\tb", "x" * 65])
def test_names_that_nobody_can_have(name):
    assert not is_name(name)
    with pytest.raises(Malformed, match="name of engineer"):
        checked_name(name, ENGINEER)


def test_names_that_look_alike_are_alike(opened):
    registry, cast = opened
    composed, apart = "jos\u00e9", "jose\u0301"
    assert add(registry, ENGINEER, apart, cast.ops.number).name == composed
    assert registry.directory().tree.find(f"acme/ops/{apart}").name == composed
    assert checked_name("研究部", DEPARTMENT) == "研究部"


def test_a_name_in_brackets_is_a_name(tmp_path):
    with Registry.open(tmp_path / "registry.sqlite") as registry:
        assert add(registry, ORGANISATION, "[red] & co", ROOT).name == "[red] & co"
