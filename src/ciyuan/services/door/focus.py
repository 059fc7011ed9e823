"""An invoice in the columns of FOCUS, the FinOps Open Cost and Usage Specification, version 1.3 (focus.finops.org).

A row is one leg (uncached input, cached input, output) of one detail: a day, spender, supplier, grade, served so, price list. A
token's price is exact there, so ConsumedQuantity x ListUnitPrice = BilledCost, to twelve decimals. What the meter carried from
charge to charge, under a millionth in all, is a row of its own (ChargeCategory Adjustment), so that the sum of BilledCost is the
invoice's total. Where a list prices further legs too, one row holds the detail's whole charge, without unit prices.

| column | holds |
|---|---|
| BilledCost, EffectiveCost, ListCost, ContractedCost | the charge: there is one price, and no discount outside it |
| ServiceProviderName, InvoiceIssuerName | the issuer; HostProviderName: the supplier that ran the model |
| SubAccountId, SubAccountName | the department |
| SkuId, SkuMeter, SkuPriceId | model/tier; the leg; price list, leg, served how |
| Tags | engineer, key and app |

Money that a customer pays in stays its own until it is charged, and may be withdrawn: it is a payment, not a purchase. So usage
is billed as it is charged, and deposits are no rows here.

Numbers have a decimal point and identifiers a letter, so that readers that guess types take the first for decimals and the second
for text. ProviderName and PublisherName, which version 1.3 deprecates, are kept for readers of 1.0 to 1.2. The custom columns are
x_Requests (on the row of the input only, so that it can be summed), x_Spender, x_PriceList and x_Served.
"""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from enum import Enum

from ciyuan.basics.money import PICO_PER_MICRO
from ciyuan.basics.time import iso_from_ns
from ciyuan.services.door.invoice import CREDIT_NOTE, CURRENCY, Detail, Invoice, Who
from ciyuan.services.door.usage_span import Span

VERSION = "1.3"
COLUMNS = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart",
    "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart",
    "ConsumedQuantity", "ConsumedUnit", "ContractedCost", "ContractedUnitPrice", "EffectiveCost", "HostProviderName",
    "InvoiceId", "InvoiceIssuerName", "ListCost", "ListUnitPrice", "PricingCategory", "PricingQuantity", "PricingUnit",
    "ProviderName", "PublisherName", "ServiceCategory", "ServiceName", "ServiceProviderName", "ServiceSubcategory", "SkuId",
    "SkuMeter", "SkuPriceDetails", "SkuPriceId", "SubAccountId", "SubAccountName", "Tags",
    "x_PriceList", "x_Requests", "x_Served", "x_Spender",
)  # fmt: skip
"""In order of name, those of the specification before our own."""
Focus = dict[str, str]
"""A row: text by column; a column that is null is not in it."""
NOBODY = Who(0, "(none)", "(none)", "(none)", "(none)")


class Meter(Enum):
    """The legs that have a price of their own: name of the meter, and name in a price's id."""

    INPUT = ("Input tokens", "in")
    CACHED = ("Cached input tokens", "cached")
    OUTPUT = ("Output tokens", "out")


def focus_rows(invoice: Invoice) -> Iterator[Focus]:
    """The invoice's rows. Their BilledCost sums to its total, exactly."""
    shared = _shared(invoice)
    if invoice.kind == CREDIT_NOTE:
        yield shared | _costs(invoice.total_micro * PICO_PER_MICRO) | {
            "ChargeCategory": "Credit", "ChargeClass": "Correction", "ChargeFrequency": "One-Time",
            "ChargeDescription": f"Credit on {invoice.corrects}: {invoice.reason}",
        }  # fmt: skip
        return
    carry = 0
    for detail in invoice.statement.details:
        if not detail.sums.requests:
            continue  # attempts that were charged nothing
        exact = invoice.statement.exact_pico(detail)
        if exact is None:
            yield shared | _whole(invoice, detail)
        else:
            carry += detail.sums.charged_micro * PICO_PER_MICRO - exact
            yield from (shared | row for row in _legs(invoice, detail))
    if carry:
        yield shared | _costs(carry) | {
            "ChargeCategory": "Adjustment", "ChargeFrequency": "Usage-Based",
            "ChargeDescription": "Fractions of a millionth, carried from charge to charge",
        }  # fmt: skip


def decimal(pico: int) -> str:
    """Pico-units as decimal text of whole units, exact, with no more decimals than there are (one at least)."""
    sign, pico = ("-", -pico) if pico < 0 else ("", pico)
    whole, part = divmod(pico, PICO_PER_MICRO**2)
    return f"{sign}{whole}.{f'{part:012d}'.rstrip('0') or '0'}"


def _shared(invoice: Invoice) -> Focus:
    """What all rows have in common; the charge period of what is of no day is the whole one."""
    start, end = (iso_from_ns(bound) for bound in invoice.statement.span.bounds_ns)
    issuer = invoice.labels.issuer or "(no issuer was named)"
    return {
        "BillingAccountId": f"customer-{invoice.statement.customer}", "BillingAccountName": invoice.labels.organisation,
        "BillingCurrency": CURRENCY, "BillingPeriodStart": start, "BillingPeriodEnd": end,
        "ChargePeriodStart": start, "ChargePeriodEnd": end, "InvoiceId": invoice.number, "InvoiceIssuerName": issuer,
        "ServiceProviderName": issuer, "ProviderName": issuer, "HostProviderName": issuer, "PublisherName": issuer,
        "ServiceCategory": "AI and Machine Learning", "ServiceSubcategory": "Generative AI", "ServiceName": "AI tokens",
    }  # fmt: skip


def _costs(pico: int) -> Focus:
    cost = decimal(pico)
    return dict.fromkeys(("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"), cost)


def _of_detail(invoice: Invoice, detail: Detail) -> Focus:
    """What the rows of a detail have in common."""
    day = date.fromisoformat(detail.day)
    start, end = Span(day, day + timedelta(days=1), invoice.statement.offset_hours).bounds_ns
    who = invoice.labels.spenders.get(detail.spender, NOBODY)
    supplier, (model, tier) = invoice.labels.suppliers[detail.supplier], invoice.labels.grades[detail.grade]
    served = "batch" if detail.batch else "direct"
    return {
        "ChargeCategory": "Usage", "ChargeFrequency": "Usage-Based", "ChargePeriodStart": iso_from_ns(start),
        "ChargePeriodEnd": iso_from_ns(end), "HostProviderName": supplier, "PublisherName": supplier,
        "SubAccountId": f"department-{who.department_number}", "SubAccountName": who.department, "SkuId": f"{model}/{tier}",
        "Tags": json.dumps({"engineer": who.engineer, "key": who.key, "app": who.app}, ensure_ascii=False),
        "PricingCategory": "Standard", "x_Spender": str(detail.spender), "x_PriceList": str(detail.price_list),
        "x_Served": served,
    }  # fmt: skip


def _legs(invoice: Invoice, detail: Detail) -> Iterator[Focus]:
    """A row for each leg that was used, and always one of the input, which bears the count of requests."""
    shared = _of_detail(invoice, detail)
    prices = invoice.statement.lists[detail.price_list].prices(detail.batch)
    for meter, tokens, price in zip(Meter, detail.tokens, prices, strict=True):
        name, short = meter.value
        if not tokens and meter is not Meter.INPUT:
            continue
        requests = {"x_Requests": str(detail.sums.requests)} if meter is Meter.INPUT else {}
        yield shared | requests | _costs(tokens * price) | {
            "ChargeDescription": f"{name} of {shared['SkuId']}, {shared['x_Served']}", "SkuMeter": name,
            "SkuPriceId": f"{detail.price_list}/{short}/{shared['x_Served']}",
            "SkuPriceDetails": json.dumps({"x_Leg": short, "x_PriceList": detail.price_list, "x_Served": shared["x_Served"]}),
            "ConsumedQuantity": f"{tokens}.0", "ConsumedUnit": "Tokens",
            "PricingQuantity": f"{tokens}.0", "PricingUnit": "Tokens",
            "ListUnitPrice": decimal(price), "ContractedUnitPrice": decimal(price),
        }  # fmt: skip


def _whole(invoice: Invoice, detail: Detail) -> Focus:
    """One row for a detail that is priced by further legs."""
    tokens = f"{detail.sums.tokens}.0"
    return _of_detail(invoice, detail) | _costs(detail.sums.charged_micro * PICO_PER_MICRO) | {
        "ChargeDescription": f"All legs of {'/'.join(invoice.labels.grades[detail.grade])}", "SkuMeter": "All tokens",
        "SkuPriceId": f"{detail.price_list}/all", "x_Requests": str(detail.sums.requests),
        "ConsumedQuantity": tokens, "ConsumedUnit": "Tokens", "PricingQuantity": tokens, "PricingUnit": "Tokens",
    }  # fmt: skip
