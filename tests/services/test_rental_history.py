"""Rents over time: the change of a published series (headline result H22), and what makes no sense."""

from pathlib import Path

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.services.catalog_factory import names
from ciyuan.services.rental_history import chips_of, offered_rents, read_rents, rent_change, series_of

RENTS = Path(__file__).parents[3] / "shared" / "data" / "factory" / "gpu_rental_gcp.csv"
HEAD = "date,chip,spot_us_central1,spot_median,od_us_central1,od_median\n"
ROWS = "2026-01-01,A,1.0,2.0,3.0,4.0\n2026-02-01,A,,2.5,3.0,4.0\n2026-01-15,B,9.0,9.0,9.0,9.0\n2026-03-01,A,1.5,1.0,3.0,4.0\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "rents.csv"
    path.write_text("# a comment\n" + HEAD + ROWS, encoding="utf-8")
    return path


def test_a_row_holds_until_the_next(table: Path):
    rents = read_rents(table)
    assert chips_of(rents) == ("A", "B")
    assert series_of(rents, "A", "spot_us_central1") == [("2026-01-01", 1.0), ("2026-03-01", 1.5)]
    change = rent_change(rents, "A", "spot_median", since="2026-01-20", until="2026-02-20")
    assert (change.first_usd_per_hour, change.last_usd_per_hour) == (2.0, 2.5)
    assert change.change == pytest.approx(0.25)
    assert change.first_day == "2026-01-01"


def test_one_day_is_no_history(table: Path):
    with pytest.raises(Malformed, match="rents of B"):
        rent_change(read_rents(table), "B", "spot_median")


def test_a_day_that_is_none_is_refused(tmp_path: Path):
    path = tmp_path / "rents.csv"
    path.write_text(HEAD + "yesterday,A,1,1,1,1\n", encoding="utf-8")
    with pytest.raises(Malformed, match="line 2, date"):
        read_rents(path)


def test_offers_are_the_last_of_each_provider(tmp_path: Path):
    """One provider left 46 days before the end; one offers spot alone; a GPU that the catalogue lacks is left out."""
    path = tmp_path / "offers.csv"
    rows = (
        "2026-05-01,gone,H200,on_demand,1.0",
        "2026-06-20,one,H200,on_demand,5.0",
        "2026-07-01,one,H200,on_demand,3.0",
        "2026-07-10,two,H200,on_demand,4.0",
        "2026-07-10,two,H200,spot,1.0",
        "2026-07-11,two,MAINFRAME,on_demand,9.0",
    )
    path.write_text("\n".join(("date,provider,gpu,kind,usd_median", *rows)) + "\n", encoding="utf-8")
    (offer,) = offered_rents(path, names()).values()
    assert (offer.usd_per_hour, offer.providers, offer.day) == (3.5, 2, "2026-07-10")
    path.write_text("date,provider,gpu,kind,usd_median\n", encoding="utf-8")
    with pytest.raises(Malformed, match="offers in"):
        offered_rents(path, names())


@pytest.mark.skipif(not RENTS.is_file(), reason="the shared data folder is not beside this checkout")
def test_old_chips_rose_where_they_are_scarce_and_fell_elsewhere():
    """Headline result H22: spot in us-central1, 1.443 to 1.928 USD (+33.6%); the median region fell."""
    rents = read_rents(RENTS)
    scarce = rent_change(rents, "A100-40GB", "spot_us_central1", "2025-06-05", "2026-07-22")
    assert (scarce.first_usd_per_hour, scarce.last_usd_per_hour) == (1.443, 1.928)
    assert 1 + scarce.change == pytest.approx(1.336, abs=0.001)
    assert rent_change(rents, "A100-40GB", "spot_median", "2025-06-05", "2026-07-22").change < -0.5
