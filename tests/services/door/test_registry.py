"""The registry: the same contract in SQLite and PostgreSQL, by one process or several."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.services.door.registry import AppRefusal, Registry
from ciyuan.services.door.registry_database import DatabaseFailed
from ciyuan.services.door.registry_keys import Permissions
from ciyuan.services.door.registry_schema import COMPONENT, MIGRATIONS, SpenderKind
from ciyuan.services.door.registry_spenders import APPS_MAX
from tests.services.door.registry_cast import DIALECTS, NOW, USD, company, company_registry

pytest_plugins = ("tests.services.postgres",)


@pytest.fixture(params=DIALECTS)
def where(request, tmp_path):
    return (
        tmp_path / "registry.sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    )


@pytest.fixture
def opened(where):
    with company_registry(where) as opened:
        yield opened


def test_what_was_changed_is_there_when_it_is_opened_again(opened, where):
    registry, _ = opened
    before = registry.directory()
    registry.close()
    with Registry.open(where) as again:
        after = again.directory()
    assert dict(after.spenders) == dict(before.spenders)
    assert after.by_digest == before.by_digest
    assert (after.limits, after.participants, after.version) == (
        before.limits,
        before.participants,
        before.version,
    )
    assert [key.name for key in after.by_digest.values()] == ["laptop", "bot"]


def test_every_change_raises_the_version_and_others_see_it(opened, where):
    registry, cast = opened
    with Registry.open(where) as other:
        version = other.version()
        with registry.change(NOW) as change:
            change.spenders.add(SpenderKind.ENGINEER, "bob", cast.ops.number)
        assert other.version() == registry.version() == version + 1
        with registry.change(NOW) as change:
            assert change.spenders.tree.find("acme/ops/bob").name == "bob"
        assert other.version() == version + 1


def test_a_change_that_fails_leaves_no_trace(opened):
    registry, cast = opened
    version = registry.version()

    def fail():
        with registry.change(NOW) as change:
            change.spenders.add(SpenderKind.ENGINEER, "bob", cast.ops.number)
            change.keys.create(cast.ada.number, "phone", Permissions())
            change.spenders.add(SpenderKind.ENGINEER, "bob", cast.ops.number)

    with pytest.raises(Malformed, match="taken"):
        fail()
    assert registry.version() == version
    assert registry.directory().tree.child(cast.ops.number, "bob") is None


def test_a_change_sees_itself(opened):
    registry, cast = opened
    with registry.change(NOW) as change:
        made = change.keys.create(cast.ada.number, "phone", Permissions())
        assert change.directory().by_digest[made.kept.digest].name == "phone"


def test_many_processes_give_each_number_once(opened, where):
    """Eight registries make keys and engineers at once: numbers are consecutive, and nothing is lost."""
    _, cast = opened

    def work(worker):
        with Registry.open(where) as other:
            for count in range(5):
                with other.change(NOW) as change:
                    person = change.spenders.add(SpenderKind.ENGINEER, f"e {worker} {count}", cast.ops.number)
                    change.keys.create(person.number, "key", Permissions())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    with Registry.open(where) as other:
        directory = other.directory()
    assert list(directory.spenders) == list(range(1, 6 + 80 + 1))
    assert [secret.number for secret in directory.secrets] == list(range(1, 2 + 40 + 1))


def test_a_company_of_two_hundred_is_one_change(where):
    with Registry.open(where) as registry:
        with registry.change(NOW) as change:
            cast = company(change)
            for number in range(200):
                person = change.spenders.add(SpenderKind.ENGINEER, f"engineer {number:03}", cast.ops.number)
                change.keys.create(person.number, "laptop", Permissions())
        assert registry.version() == 2
        assert registry.directory().in_use(NOW) == 202


def test_apps_are_made_once_and_bounded(opened, where):
    registry, cast = opened
    key = cast.laptop.kept.spender

    def make(_):
        with Registry.open(where) as other:
            return other.app(key, "report", NOW)

    with ThreadPoolExecutor(4) as pool:
        (number,) = set(pool.map(make, range(8)))
    assert registry.directory().spenders[number].name == "report"
    assert registry.app(key, "a/b", NOW) is AppRefusal.NAME_MALFORMED
    others = {(key, f"app {count:02}") for count in range(APPS_MAX)}
    refused = registry.make_apps(others, NOW)
    assert refused == {(key, f"app {APPS_MAX - 1}"): AppRefusal.TOO_MANY}
    version = registry.version()
    assert registry.app(key, "one more", NOW) is AppRefusal.TOO_MANY
    assert registry.app(key, "app 07", NOW) > number
    assert registry.version() == version


def test_revenue_of_departments(opened):
    registry, cast = opened
    with registry.change(NOW) as change:
        change.set_revenue(cast.research.number, 202611, 5 * USD)
        change.set_revenue(cast.research.number, 202612, 1)
        change.set_revenue(cast.research.number, 202611, 7 * USD)
    assert registry.revenue(202611) == {cast.research.number: 7 * USD}
    assert registry.revenue(202601) == {}


def test_a_registry_of_a_newer_ciyuan_is_not_touched(opened, where):
    registry, _ = opened
    registry.database.migrate(COMPONENT, (*MIGRATIONS, ("CREATE TABLE later (number INTEGER) STRICT",)))
    registry.close()
    with pytest.raises(Malformed, match="newer ciyuan"):
        Registry.open(where)


def test_a_closed_registry_is_a_failure(opened):
    registry, _ = opened
    registry.close()
    with pytest.raises(DatabaseFailed, match="closed"):
        registry.version()
