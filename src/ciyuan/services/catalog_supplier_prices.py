"""The prices in an operator's file of suppliers: typed in, in USD as text, or taken from the genai-prices package as a seed.

| key of `price` | leg | unit |
|---|---|---|
| `input`, `cached_input`, `output` | INPUT, CACHE_READ, OUTPUT | USD per million tokens |
| `cache_write`, `cache_write_long` | CACHE_WRITE_SHORT, CACHE_WRITE_LONG | USD per million tokens |
| `reasoning`, `audio_input`, `audio_output`, `image_input`, `image_output` | the part of that name | USD per million tokens |
| `image`, `search`, `request` | IMAGES, SEARCHES, REQUESTS | USD each |
| `batch_percent` | what of each price a batch costs | whole percent |
| `step` | a list of tables: `above_tokens` and the same prices of tokens again | tokens of input |

A price is exact or refused: at most six decimals of a USD. A price outside what is posted anywhere, and a list that is free,
is refused unless the entry says `price_confirmed = true`: a price per million that was typed per token is a million times
off.

A seed is the package's price in force at the time of reading. What it prices by the hour of the day is refused, and what is
no leg here (searches of a store, pages) is left out and said so: every seed is told in a line, for the operator to read.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time
from decimal import Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING

from ciyuan.basics.errors import Malformed
from ciyuan.basics.money import MICRO, format_micro, parse_micro
from ciyuan.basics.time import ns_from_iso
from ciyuan.gateway.leg_prices import LegPrices, Step
from ciyuan.gateway.messages import PIECE_PRICE_MAX, PRICE_MAX
from ciyuan.gateway.usage import Leg
from ciyuan.services.catalog_prices import PACKAGE, micro_exact
from ciyuan.services.catalog_table import Section, reading

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

TOKEN_KEYS = {
    "input": Leg.INPUT,
    "cached_input": Leg.CACHE_READ,
    "cache_write": Leg.CACHE_WRITE_SHORT,
    "cache_write_long": Leg.CACHE_WRITE_LONG,
    "output": Leg.OUTPUT,
    "reasoning": Leg.REASONING,
    "audio_input": Leg.AUDIO_IN,
    "audio_output": Leg.AUDIO_OUT,
    "image_input": Leg.IMAGE_IN,
    "image_output": Leg.IMAGE_OUT,
}
"""The keys of prices per million tokens."""
PIECE_KEYS = {"image": Leg.IMAGES, "search": Leg.SEARCHES, "request": Leg.REQUESTS}
"""The keys of prices of a piece."""
_SEED_TOKENS = {
    "input_mtok": Leg.INPUT,
    "cache_read_mtok": Leg.CACHE_READ,
    "cache_write_mtok": Leg.CACHE_WRITE_SHORT,
    "cache_write_1h_mtok": Leg.CACHE_WRITE_LONG,
    "output_mtok": Leg.OUTPUT,
    "output_reasoning_mtok": Leg.REASONING,
    "input_audio_mtok": Leg.AUDIO_IN,
    "output_audio_mtok": Leg.AUDIO_OUT,
    "input_image_mtok": Leg.IMAGE_IN,
    "output_image_mtok": Leg.IMAGE_OUT,
}
_SEED_PIECES = {"web_searches_kcount": Leg.SEARCHES, "requests_kcount": Leg.REQUESTS}
_THOUSAND = 1_000


def typed_prices(table: Section) -> LegPrices:
    """The prices of a table `price`."""
    tokens = {leg: _usd(table, key) for key, leg in TOKEN_KEYS.items() if key in table}
    for key in ("input", "output"):
        if TOKEN_KEYS[key] not in tokens:
            table.text(key)
    pieces = {
        leg: _usd(table, key, PIECE_PRICE_MAX // MICRO) * MICRO
        for key, leg in PIECE_KEYS.items()
        if key in table
    }
    batch = table.whole("batch_percent") if "batch_percent" in table else 100
    if not 0 <= batch <= 100:
        raise Malformed(
            f"{table.place}, batch_percent", found=batch, expected="0 to 100", remedy="Mend the number."
        )
    steps = (
        tuple(_step(step, tokens, pieces, batch) for step in table.tables("step")) if "step" in table else ()
    )
    starts = [step.above_tokens for step in steps]
    if starts != sorted({start for start in starts if start > 0}):
        raise Malformed(f"{table.place}, step", found=starts, expected="steps above 0 tokens, in order, each but once",
                        remedy="Sort the steps by above_tokens.")  # fmt: skip
    return LegPrices.of(tokens | pieces, batch_hundredths=batch, steps=steps)


def _step(table: Section, base: Mapping[Leg, int], pieces: Mapping[Leg, int], batch: int) -> Step:
    """Other prices for longer calls. A price that the list has and the step has not is asked for, not guessed."""
    tokens = {leg: _usd(table, key) for key, leg in TOKEN_KEYS.items() if leg in base}
    return Step(table.whole("above_tokens"), LegPrices.of(tokens | dict(pieces), batch_hundredths=batch))


def _usd(table: Section, key: str, micro_max: int = PRICE_MAX) -> int:
    """Micro-USD of a price in text."""
    text = table.text(key)
    try:
        micro = parse_micro(text)
    except Malformed as fault:
        raise Malformed(
            f"{table.place}, {key}", found=text, expected=fault.expected, remedy=fault.remedy
        ) from None
    if not 0 <= micro <= micro_max:
        raise Malformed(f"{table.place}, {key}", found=text, expected=f"0 to {format_micro(micro_max, 0)} USD",
                        remedy="Check the unit; a rebate is no price.")  # fmt: skip
    return micro


def check_plausible(prices: LegPrices, place: str, *, confirmed: bool) -> None:
    """Refuse prices that look as if they were typed in another unit, and what is free, unless the operator confirmed them."""
    if confirmed:
        return
    for held in (prices, *(step.prices for step in prices.steps)):
        found = {
            leg.name.lower(): f"{format_micro(held.pico[leg])} USD per MTok" for leg in held.implausible()
        }
        if found:
            raise Malformed(f"{place}, price", found=found, expected="0.001 to 2,000 USD per million tokens, as every list posts",
                            remedy="Check the unit; if it is so, say price_confirmed = true.")  # fmt: skip
    if not any(prices.pico):
        raise Malformed(f"{place}, price", found="every price is 0", expected="what a token costs: no budget holds what is free",
                        remedy="Give a price; if it is free, say price_confirmed = true.")  # fmt: skip


def seeded_prices(provider: str, model: str, now_ns: int, place: str) -> tuple[LegPrices, str]:
    """The package's price in force, and the line that tells it."""
    source = f"{PACKAGE} {version(PACKAGE)}"
    named = f"{source}, {provider} {model}"
    price = _in_force(_entry(provider, model, source, place), now_ns, named)
    given = {
        key: value for key, value in vars(price).items() if value is not None and not key.startswith("_")
    }
    left = [key for key in given if key not in _SEED_TOKENS and key not in _SEED_PIECES]
    if any(key.endswith("_mtok") for key in left):
        raise Malformed(named, found=left, expected="prices of tokens that usage has legs for",
                        remedy="Type the prices in.")  # fmt: skip
    prices = _with_steps(given, named)
    told = [
        f"{leg.name.lower()} {format_micro(prices.pico[leg])}"
        for key, leg in _SEED_TOKENS.items()
        if key in given
    ]
    line = f"{place}: {named}: {', '.join(told)} USD per MTok"
    if prices.steps:
        line += f"; other prices above {', '.join(f'{step.above_tokens:,}' for step in prices.steps)} tokens"
    return prices, line + (f"; left out: {', '.join(left)}" if left else "")


def _entry(provider: str, model: str, source: str, place: str) -> "ModelInfo":
    from genai_prices.data import providers

    for entry in providers:
        if entry.id == provider:
            for one in entry.models:
                if one.id == model:
                    return one
            raise Malformed(place, found=model, expected=f"a model of {provider} in {source}",
                            remedy="Mend price_model, or type the prices in.")  # fmt: skip
    raise Malformed(place, found=provider, expected=f"a provider in {source}",
                    remedy="Mend price_provider, or type the prices in.")  # fmt: skip


def _in_force(model: "ModelInfo", now_ns: int, named: str) -> "ModelPrice":
    from genai_prices.types import ModelPrice, StartDateConstraint

    if isinstance(model.prices, ModelPrice):
        return model.prices
    found: ModelPrice | None = None
    for entry in model.prices:
        if entry.constraint is None:
            found = entry.prices
        elif isinstance(entry.constraint, StartDateConstraint):
            start = datetime.combine(entry.constraint.start_date, time(), UTC)
            if ns_from_iso(start.isoformat()) <= now_ns:
                found = entry.prices
        else:
            raise Malformed(named, found="prices by the hour of the day", expected="one price at a time",
                            remedy="Type in the price of the dearest hour, or of yours.")  # fmt: skip
    if found is None:
        raise Malformed(
            named, found="no price in force", expected="a price that has begun", remedy="Type the prices in."
        )
    return found


def _with_steps(given: Mapping[str, object], named: str) -> LegPrices:
    """Prices by leg of a catalogue's entry, its tiers as steps: each holds for the whole call, as that package says."""
    starts = sorted({start for value in given.values() for start in _starts(value)})
    base = _legs_at(given, 0, named)
    return LegPrices.of(base, batch_hundredths=100, steps=tuple(
        Step(start, LegPrices.of(_legs_at(given, start + 1, named), batch_hundredths=100)) for start in starts))  # fmt: skip


def _starts(value: object) -> Iterator[int]:
    from genai_prices.types import TieredPrices

    if isinstance(value, TieredPrices):
        yield from (tier.start for tier in value.tiers)


def _legs_at(given: Mapping[str, object], tokens: int, named: str) -> dict[Leg, int]:
    """Pico-units of each leg for a call of so many tokens of input."""
    legs = {
        leg: micro_exact(_price_at(given[key], tokens), f"{named}, {key}")
        for key, leg in _SEED_TOKENS.items()
        if key in given
    }
    for key, leg in _SEED_PIECES.items():
        if key in given:
            legs[leg] = micro_exact(_price_at(given[key], tokens), f"{named}, {key}") * MICRO // _THOUSAND
    legs.setdefault(Leg.OUTPUT, 0)
    return legs


def _price_at(value: object, tokens: int) -> object:
    from genai_prices.types import TieredPrices

    if not isinstance(value, TieredPrices):
        return value
    price: Decimal = value.base
    for tier in value.tiers:
        if tokens > tier.start:
            price = tier.price
    return price


def price_table(entries: object, place: str) -> LegPrices:
    """The prices of a table `price` as TOML gave it; it must be read whole."""
    if not isinstance(entries, dict):
        raise Malformed(
            f"{place}, price",
            found=entries,
            expected=f'a table of prices, or "{PACKAGE}"',
            remedy="Mend the value.",
        )
    with reading(f"{place}, price", entries) as table:
        return typed_prices(table)
