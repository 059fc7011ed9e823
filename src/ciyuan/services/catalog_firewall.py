"""The firewall's rules as shipped, or a user's own: `firewall.toml` of the folder of facts, read strictly.

| key | what it is | if it is left out |
|---|---|---|
| `kind` | secret, personal, company or agent | refused |
| `action` | block, mask, report or off | refused |
| `label` | the word in its placeholders | refused |
| `pattern` | the form, in the language of `gateway.firewall_pattern` | refused |
| `check` | what a match must be besides (`gateway.firewall_checks`) | refused |
| `language` | any, en or zh | refused |
| `what`, `source`, `observed_on` | what it is, where the form was read, when | refused |
| `case` | any: in capitals and small letters | as written |
| `before` | what must stand before the value, and is no part of it | nothing |
| `find`, `lead` | a shorter pattern for the engine, and what may stand before it | derived |
"""

from importlib.resources.abc import Traversable

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.firewall_checks import Check
from ciyuan.gateway.firewall_rules import Action, Kind, Rule, ready
from ciyuan.services.catalog_table import FACTS, Section, member, top_tables

FILE = "firewall.toml"
LANGUAGES = ("any", "en", "zh")


def firewall_rules(folder: Traversable = FACTS) -> tuple[Rule, ...]:
    """Every rule of the file, in its order; each is readied once, so that a bad pattern is refused with its place."""
    return tuple(_rule(name, table) for name, table in top_tables(FILE, folder))


def _rule(name: str, table: Section) -> Rule:
    language = table.text("language")
    if language not in LANGUAGES:
        raise Malformed(f"{table.place}, language", found=language, expected=f"one of {', '.join(LANGUAGES)}",
                        remedy="Mend the word.")  # fmt: skip
    source, observed_on = table.sourced()
    rule = Rule(
        name=name,
        kind=member(Kind, table.text("kind"), f"{table.place}, kind"),
        action=member(Action, table.text("action"), f"{table.place}, action"),
        label=table.text("label"),
        pattern=table.text("pattern"),
        what=table.text("what"),
        source=source,
        observed_on=observed_on,
        language=language,
        check=member(Check, table.text("check"), f"{table.place}, check"),
        caseless="case" in table and _any_case(table),
        before=table.text("before") if "before" in table else "",
        find=table.text("find") if "find" in table else "",
        lead=table.text("lead") if "lead" in table else "",
    )
    ready(rule)
    return rule


def _any_case(table: Section) -> bool:
    case = table.text("case")
    if case != "any":
        raise Malformed(
            f"{table.place}, case", found=case, expected="any, or no such key", remedy="Mend the word."
        )
    return True
