"""`ciyuan firewall log`: what was found, for people and for programs; never the value."""

import json
import time

import pytest
import typer
from typer.testing import CliRunner

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.firewall import Firewall, Placeholders, audit
from ciyuan.services.catalog_firewall import firewall_rules
from ciyuan.services.door.findings import Findings
from ciyuan.services.firewall_cli import firewall_app
from tests.services.door.registry_cast import company_registry

APP = typer.Typer(pretty_exceptions_enable=False)
APP.add_typer(firewall_app, name="firewall")
CARD = "4111 1111 1111 1111"


@pytest.fixture
def store(tmp_path):
    """A store in which a laptop sent a card's number."""
    text = f"my card is {CARD}, thanks"
    found = Firewall(firewall_rules(), b"k" * 32).search([text])
    assert isinstance(found, tuple)
    (record,) = audit("messages[0].content", text, found[0], Placeholders())
    with company_registry(tmp_path / "registry.sqlite") as (registry, cast):
        key = registry.directory().find(cast.laptop.text.encode())
        assert key is not None
        findings = Findings(registry.database, time.time_ns)
        findings.note(key, "request", record)
        findings.flush()
        path = registry.directory().tree.path(key.spender)
    return tmp_path, path, record


def said(store, *words):
    result = CliRunner().invoke(
        APP,
        ["firewall", "log", *words, "--store", str(store)],
        env={"COLUMNS": "200"},
        catch_exceptions=False,
    )
    assert result.exit_code == 0
    return result.output


def test_the_log_names_the_key_the_rule_and_the_place_and_not_the_value(store):
    folder, path, record = store
    text = said(folder)
    assert "Found by the firewall in the last 24h" in text
    assert record.rule in text
    assert CARD not in text
    (line,) = json.loads(said(folder, "--json"))["findings"]
    assert (line["spender"], line["rule"], line["path"], line["excerpt"]) == (
        path, record.rule, "messages[0].content", record.excerpt)  # fmt: skip
    assert line["time"].endswith("Z")


def test_the_log_is_asked_by_spender_rule_and_time(store):
    folder, path, record = store
    organisation = path.partition("/")[0]
    assert (
        len(
            json.loads(said(folder, organisation, "--rule", record.rule, "--since", "7d", "--json"))[
                "findings"
            ]
        )
        == 1
    )
    assert json.loads(said(folder, "--rule", "no-such-rule", "--json")) == {"findings": []}
    assert "Nothing was found in the last 24h." in said(folder, "--rule", "no-such-rule")
    assert "The newest 1; --most shows more." in said(folder, "--most", "1")
    with pytest.raises(Malformed, match="span of time"):
        said(folder, "--since", "yesterday")
    with pytest.raises(Malformed, match="spender nobody"):
        said(folder, "nobody")


def test_a_store_without_a_registry_is_refused(tmp_path):
    with pytest.raises(Malformed, match="no registry"):
        said(tmp_path)
