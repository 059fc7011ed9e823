"""A SPAN risk parameter file: the day's risk arrays as XML (fileFormat 4.00), for whoever has a SPAN calculator.

    spanFile
      fileFormat, created
      pointInTime: date, isSetl
        clearingOrg: ec
          ccDef: cc, name, currency                                a combined commodity
          exchange: exch
            futPf: pfId, pfCode, name, currency, cvf               the futures of one
              fut: cId, pe, p, d, v, cvf, val, sc
                ra: r, a (sixteen), d                              a risk array

It has the elements that calculators for NSCCL's files read (the package marginism). Arrays are per lot, in dollars, a loss to a
long lot positive, the extreme move's covered part already taken; so a calculator is asked in lots. `cvf` is the value of a lot
per dollar of price. There is no spread charge, no option and no delivery charge in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from ciyuan.basics.calendar import iso_of_day
from ciyuan.basics.errors import Malformed
from ciyuan.basics.money import format_micro
from ciyuan.clearing.span import CLASSICAL, Extreme, risk_array_micro


@dataclass(frozen=True, slots=True)
class SpanContract:
    """A future in the file: its number, venue day of expiry, settlement price (micro-dollars per MTok), lot and scan range."""

    number: int
    last_day: int
    price_micro: int
    lot_mtok: int
    scan_range_micro: int


@dataclass(frozen=True, slots=True)
class SpanCommodity:
    """A combined commodity: the futures of one grade, by its code (no blanks)."""

    code: str
    contracts: tuple[SpanContract, ...]


def span_xml(day: int, commodities: Sequence[SpanCommodity], extreme: Extreme = CLASSICAL) -> str:
    """The file of a venue day as text. Equal input gives equal text.

    Raises Malformed for two futures of one commodity that expire on the same day (a calculator could not tell them apart), and
    for scan ranges as `risk_array_micro`.
    """
    root = Element("spanFile")
    _put(root, fileFormat="4.00", created=_date(day))
    point = SubElement(root, "pointInTime")
    _put(point, date=_date(day), isSetl="1")
    organisation = SubElement(point, "clearingOrg")
    _put(organisation, ec="CIYUAN")
    for commodity in commodities:
        _put(SubElement(organisation, "ccDef"), cc=commodity.code, name=commodity.code, currency="USD")
    exchange = SubElement(organisation, "exchange")
    _put(exchange, exch="CIYUAN")
    for number, commodity in enumerate(commodities, start=1):
        _futures(SubElement(exchange, "futPf"), number, commodity, extreme)
    indent(root)
    return tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def write_span_file(
    path: Path,
    day: int,
    commodities: Sequence[SpanCommodity],
    extreme: Extreme = CLASSICAL,
) -> None:
    """Write the file of a venue day; raises as `span_xml`, and OSError."""
    path.write_text(span_xml(day, commodities, extreme), encoding="utf-8")


def _futures(portfolio: Element, number: int, commodity: SpanCommodity, extreme: Extreme) -> None:
    expiries = [contract.last_day for contract in commodity.contracts]
    if len(set(expiries)) != len(expiries):
        raise Malformed(f"combined commodity {commodity.code}", found=[_date(day) for day in expiries],
                        expected="each expiry once", remedy="Put the other future into a commodity of its own.")  # fmt: skip
    _put(portfolio, pfId=number, pfCode=commodity.code, name=commodity.code, currency="USD", cvf=1)
    for contract in commodity.contracts:
        future = SubElement(portfolio, "fut")
        value = _bare_usd(contract.price_micro * contract.lot_mtok)
        _put(future, cId=contract.number, pe=_date(contract.last_day), p=_bare_usd(contract.price_micro), d="1", v="0",
             cvf=contract.lot_mtok, val=value, sc="1")  # fmt: skip
        array = SubElement(future, "ra")
        _put(array, r="1")
        for loss in risk_array_micro(contract.scan_range_micro, extreme).tolist():
            _put(array, a=_bare_usd(loss))
        _put(array, d="1")


def _put(parent: Element, **texts: object) -> None:
    """Leaves of an element, in the order given."""
    for tag, text in texts.items():
        SubElement(parent, tag).text = str(text)


def _date(day: int) -> str:
    return iso_of_day(day).replace("-", "")


def _bare_usd(amount_micro: int) -> str:
    """Dollars with six decimals and no separators."""
    return format_micro(amount_micro).replace(",", "")
