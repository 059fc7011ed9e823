"""A supplier as the door reaches it: its addresses, heads of requests made ready, timeouts; and the requests that go there.

A request goes on as it came, but for what must differ: the model's name there, the limit of the output where the client set none
(so that what was held is what can come), and the wish to be told the usage of a stream. Nothing of the client's head goes on but
`PASSED`.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import msgspec

from ciyuan.gateway.ask_forward import needs_usage_asked, with_fields, with_usage_asked
from ciyuan.gateway.door_refusals import Protocol
from ciyuan.services.catalog_suppliers import SupplierTimeouts
from ciyuan.services.door.supplier_connection import Address, SupplierPool
from ciyuan.services.door.trace_context import passed_on

if TYPE_CHECKING:
    from ciyuan.gateway.ask import Ask
    from ciyuan.gateway.route_offers import Offer
    from ciyuan.services.catalog_suppliers import Supplier

PASSED = (b"anthropic-beta", b"openai-beta", b"traceparent", b"tracestate")
"""Headers of a client that go on to a supplier."""
_OF_A_TRACE = {b"traceparent", b"tracestate"}
ANTHROPIC_VERSION = b"2023-06-01"
"""The version of the protocol that is asked for where the client names none (docs.claude.com/en/api/versioning)."""
SETTLING_NS = 120 * 10**9
"""How much longer than the longest answer a hold lasts: for the drain after a client has left, and for settling."""
_OUTPUT_FIELD = {
    Protocol.CHAT: "max_tokens",
    Protocol.COMPLETIONS: "max_tokens",
    Protocol.RESPONSES: "max_output_tokens",
    Protocol.MESSAGES: "max_tokens",
}


class Way(NamedTuple):
    """How a protocol is spoken with a supplier: the connections, and the lines of the head that never change."""

    pool: SupplierPool
    head: bytes
    anthropic: bool


class SupplierSite:
    """One supplier. `ways` is how each protocol that it speaks is spoken."""

    def __init__(
        self,
        name: str,
        ways: Mapping[Protocol, Way],
        timeouts: SupplierTimeouts | None = None,
    ) -> None:
        self.name, self.ways = name, ways
        self.name_bytes = name.encode("ascii", "replace")
        self.timeouts = timeouts or SupplierTimeouts()
        self.traces = False
        """Whether spans are made of attempts: then a client's trace goes on from ours (`trace_context`)."""
        self.hold_timeout_ns = self.timeouts.total_ns + SETTLING_NS

    @property
    def pools(self) -> set[SupplierPool]:
        """Its connections, by address."""
        return {way.pool for way in self.ways.values()}

    def request(
        self, ask: "Ask", body: bytes, given: Mapping[bytes, bytes], offer: "Offer", number: int
    ) -> bytes:
        """The request of a call at this supplier: head and body. `given` are the client's headers; `number` is the meter's, so
        that a supplier's log can be compared with ours line by line.
        """
        changes: dict[str, bytes] = {}
        if offer.upstream_model != ask.model:
            changes["model"] = msgspec.json.encode(offer.upstream_model)
        if ask.output_max is None or ask.output_max > offer.output_tokens_max:
            field = ask.output_max_field or _OUTPUT_FIELD.get(ask.protocol, "")
            if field:
                changes[field] = b"%d" % offer.output_tokens_max
        if changes:
            body = with_fields(body, changes)
        if needs_usage_asked(ask):
            body = with_usage_asked(body)
        way = self.ways[ask.protocol]
        head = way.head
        traced = b"" if not self.traces else passed_on(given.get(b"traceparent", b""), number)
        for name in PASSED:
            if name == b"traceparent" and traced:
                head += b"traceparent: %b\r\n" % traced
            elif name in given and not (self.traces and name in _OF_A_TRACE and not traced):
                head += b"%b: %b\r\n" % (name, given[name])
        if way.anthropic:
            head += b"anthropic-version: %b\r\n" % given.get(b"anthropic-version", ANTHROPIC_VERSION)
        return b"%bx-request-id: %x\r\ncontent-length: %d\r\n\r\n%b" % (head, number, len(body), body)


def address_of(url: str) -> Address:
    """Where a URL leads."""
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    return Address(parts.hostname or "", parts.port or (443 if tls else 80), tls)


def head_of(url: str, key: str, headers: Mapping[str, str], *, anthropic: bool) -> bytes:
    """The lines of a head that never change, for requests to this URL."""
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    lines = [f"POST {target} HTTP/1.1", f"host: {parts.netloc}", "content-type: application/json",
             "accept: application/json, text/event-stream", "user-agent: ciyuan"]  # fmt: skip
    if key:
        lines.append(f"x-api-key: {key}" if anthropic else f"authorization: Bearer {key}")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1")


def site_of(
    supplier: "Supplier",
    environ: Mapping[str, str],
    pool_of: Callable[[Address, int], SupplierPool],
) -> SupplierSite:
    """A supplier of the operator's file, its secrets looked up. Raises Malformed for a secret that is not where it should be.

    `pool_of` gives the connections to an address, by the time that connecting may take.
    """
    key = "" if supplier.key is None else supplier.key.secret(environ)
    headers = {
        name: value if isinstance(value, str) else value.secret(environ) for name, value in supplier.headers
    }
    ways = {}
    for protocol in supplier.spoken:
        url = supplier.url_of(protocol)
        anthropic = protocol is Protocol.MESSAGES
        pool = pool_of(address_of(url), supplier.timeouts.connect_ns)
        ways[protocol] = Way(pool, head_of(url, key, headers, anthropic=anthropic), anthropic)
    return SupplierSite(supplier.name, ways, supplier.timeouts)
