"""What the registry's commands have in common: moments, doubts, stores."""

from unittest.mock import patch

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.basics.time import NS_PER_DAY, NS_PER_HOUR, ns_from_iso
from ciyuan.services.door.registry_command import (
    REGISTRY,
    ask_about,
    directory_of,
    has_registry,
    moment_of,
    number_of,
    opened,
)
from ciyuan.services.door.registry_spenders import ROOT
from tests.services.door.registry_cast import NOW, company_registry


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (None, None),
        ("90d", NOW + 90 * NS_PER_DAY),
        ("12 hours", NOW + 12 * NS_PER_HOUR),
        ("2027-01-01", ns_from_iso("2027-01-01T00:00:00Z")),
        ("2027-01-01 09:00:00+08:00", ns_from_iso("2027-01-01T01:00:00Z")),
    ],
)
def test_moments(text, moment):
    assert moment_of(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "tomorrow", "2027-13-01", "2027-01-01T09:00:00", "0d"])
def test_moments_that_are_none(text):
    with pytest.raises(Malformed):
        moment_of(text, NOW)


def test_doubts_are_asked_of_a_person_and_refused_without_one(capsys):
    ask_about([], yes=False)
    ask_about(["odd"], yes=True)
    with pytest.raises(Malformed, match="odd; strange"):
        ask_about(["odd", "strange"], yes=False)
    with patch("sys.stdin.isatty", return_value=True), patch("typer.confirm", side_effect=[True, False]):
        ask_about(["odd"], yes=False)
        assert capsys.readouterr().out == "odd\n"
        with pytest.raises(Malformed, match="what is meant"):
            ask_about(["odd"], yes=False)


def test_a_store_is_a_folder_with_a_registry_in_it(tmp_path):
    assert not has_registry(str(tmp_path))
    with pytest.raises(Malformed, match="no registry"):
        opened(str(tmp_path))
    with company_registry(tmp_path / REGISTRY) as (_, cast):
        assert has_registry(str(tmp_path))
    directory = directory_of(str(tmp_path))
    assert number_of(directory, "acme/research") == cast.research.number
    assert number_of(directory, None) == ROOT
    assert has_registry("postgresql://db/ciyuan")
