"""The catalogue of published days of real inference services: service_days.toml."""

from dataclasses import dataclass
from importlib.resources.abc import Traversable

from ciyuan.factory.plant import PriceList
from ciyuan.factory.service_day import DayTokens, NodeRates
from ciyuan.services.catalog_table import FACTS, top_tables


@dataclass(frozen=True, slots=True)
class PublishedDay:
    """What a service said of one of its days: tokens, list prices, what its nodes do, and how many stood there on average."""

    name: str
    tokens: DayTokens
    prices: PriceList
    rates: NodeRates
    nodes_mean: float
    source: str
    observed_on: str


def service_days(folder: Traversable = FACTS) -> dict[str, PublishedDay]:
    """The days by code."""
    found = {}
    for code, table in top_tables("service_days.toml", folder):
        found[code] = PublishedDay(
            name=table.text("name"),
            tokens=DayTokens(
                table.whole("input_tokens"), table.whole("cached_tokens"), table.whole("output_tokens")
            ),
            prices=PriceList(
                table.number("price_input_usd_per_mtok"),
                table.number("price_cached_usd_per_mtok"),
                table.number("price_output_usd_per_mtok"),
            ),
            rates=NodeRates(
                table.number("input_tokens_per_s_per_node"),
                table.number("output_tokens_per_s_per_node"),
                table.whole("gpus_per_node"),
                table.number("usd_per_gpu_hour"),
            ),
            nodes_mean=table.number("nodes_mean"),
            source=table.text("source"),
            observed_on=table.day("observed_on"),
        )
    return found
