"""A team's file for the gateway from a list of people: budgets for two hundred engineers from one sheet.

Run it from the project's folder:  .venv/bin/python examples/gateway/team_from_csv.py examples/gateway/staff.csv > team.toml
The sheet has the columns department, engineer and usd_a_year. Each engineer gets a key called default. Then:  ciyuan key import
"""

import csv
import sys
from itertools import groupby
from pathlib import Path

ORGANISATION = "acme"
OVERBOOKED = 2
"""Not everybody spends all: a department has half of what its engineers may spend one by one."""


def table(kind: str, path: str, *limits: str) -> str:
    """One spender of a team's file."""
    shown = ", ".join(f'"{limit}"' for limit in limits)
    return f'[{kind}."{path}"]\n' + (f"limits = [{shown}]\n" if limits else "")


def main() -> None:
    with Path(sys.argv[1]).open(encoding="utf-8", newline="") as sheet:
        people = sorted(csv.DictReader(sheet), key=lambda person: (person["department"], person["engineer"]))
    tables = [table("organisation", ORGANISATION)]
    for department, members in groupby(people, key=lambda person: person["department"]):
        engineers = list(members)
        year_usd = sum(int(person["usd_a_year"]) for person in engineers) // OVERBOOKED
        tables.append(table("department", f"{ORGANISATION}/{department}", f"{year_usd} USD a year"))
        for person in engineers:
            path = f"{ORGANISATION}/{department}/{person['engineer']}"
            tables.append(
                table("engineer", path, f"{person['usd_a_year']} USD a year", "60 requests a minute")
            )
            tables.append(table("key", f"{path}/default"))
    print("\n".join(tables), end="")


if __name__ == "__main__":
    main()
