"""Requests as they go to a supplier: what differs from the client's, what of its head goes on, and where keys are from."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.ask import read_ask
from ciyuan.gateway.door_refusals import Protocol, Refused
from ciyuan.gateway.route_offers import NO_LIMITS
from ciyuan.services.catalog_supplier_address import Reference
from ciyuan.services.catalog_supplier_models import Dialect
from ciyuan.services.catalog_suppliers import Supplier, SupplierTimeouts
from ciyuan.services.door.supplier_connection import Address, SupplierPool
from ciyuan.services.door.supplier_site import (
    ANTHROPIC_VERSION,
    PASSED,
    SETTLING_NS,
    SupplierSite,
    Way,
    address_of,
    head_of,
    site_of,
)
from tests.services.door.stand import model_offer
from tests.services.door.till import SUPPLIER, Clock

CHAT = {"model": "m", "messages": [{"role": "user", "content": "héllo"}]}
OFFER = model_offer(SUPPLIER, "m", 1)
MESSAGES = {"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 5}


def site(*, anthropic: bool = False, traces: bool = False) -> SupplierSite:
    pool = SupplierPool(Address("supplier.example", 80, tls=False), Clock())
    head = head_of("http://supplier.example/v1/x", "sk-key", {}, anthropic=anthropic)
    made = SupplierSite("maker", {protocol: Way(pool, head, anthropic) for protocol in Protocol})
    made.traces = traces
    return made


def sent(body: dict | bytes, given_headers=None, protocol=Protocol.CHAT, offer=OFFER, number=0xABC, **terms):
    """Head and body of what goes to the supplier."""
    data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    ask = read_ask(protocol, data)
    assert not isinstance(ask, Refused), ask
    head, _, rest = (
        site(**terms).request(ask, data, given_headers or {}, offer, number).partition(b"\r\n\r\n")
    )
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert len(headers) == len(lines), "a header is there twice"
    assert int(headers["content-length"]) == len(rest)
    return first, headers, rest


def test_a_request_goes_on_as_it_came():
    body = b'{ "model":"m",  "messages":[{"role":"user","content":"h\xc3\xa9llo"}],"max_tokens":7,"seed":1 }'
    first, headers, rest = sent(body)
    assert (first, rest) == ("POST /v1/x HTTP/1.1", body)
    assert headers["host"] == "supplier.example"
    assert headers["authorization"] == "Bearer sk-key"
    assert headers["x-request-id"] == "abc"
    assert headers["user-agent"] == "ciyuan"


def test_the_model_has_its_name_there():
    _, _, rest = sent({**CHAT, "max_tokens": 5}, offer=replace(OFFER, upstream_model='maker/m "1"'))
    assert json.loads(rest) == {**CHAT, "model": 'maker/m "1"', "max_tokens": 5}


@pytest.mark.parametrize(("protocol", "body", "field"), [
    (Protocol.CHAT, CHAT, "max_tokens"),
    (Protocol.COMPLETIONS, {"model": "m", "prompt": "x"}, "max_tokens"),
    (Protocol.RESPONSES, {"model": "m", "input": "x"}, "max_output_tokens"),
])  # fmt: skip
def test_where_the_client_sets_no_limit_what_is_held_for_is_set(protocol, body, field):
    _, _, rest = sent(body, protocol=protocol)
    assert json.loads(rest) == {**body, field: OFFER.output_tokens_max}


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_a_limit_beyond_the_models_is_set_to_it_under_the_clients_own_name(field):
    for most, there in (
        (OFFER.output_tokens_max, OFFER.output_tokens_max),
        (OFFER.output_tokens_max + 1, OFFER.output_tokens_max),
    ):
        _, _, rest = sent({**CHAT, field: most})
        assert json.loads(rest) == {**CHAT, field: there}


def test_embeddings_have_no_limit_to_set():
    body = {"model": "m", "input": "x"}
    assert json.loads(sent(body, protocol=Protocol.EMBEDDINGS)[2]) == body


def test_the_usage_of_a_stream_is_asked_for_and_once():
    for options in (
        {},
        {"stream_options": {"include_usage": False}},
        {"stream_options": {"include_usage": True}},
    ):
        _, _, rest = sent({**CHAT, "max_tokens": 5, "stream": True, **options})
        assert json.loads(rest)["stream_options"] == {"include_usage": True}
        assert rest.count(b"include_usage") == 1


@given(st.dictionaries(st.sampled_from([
    b"authorization", b"x-api-key", b"cookie", b"host", b"x-forwarded-for", b"content-length", b"transfer-encoding",
    b"user-agent", b"idempotency-key", b"x-ciyuan-app", b"accept-encoding", *PASSED,
]), st.from_regex(rb"[!-~]{1,20}", fullmatch=True)))  # fmt: skip
def test_of_the_clients_head_nothing_goes_on_but_what_is_passed(given_headers):
    _, headers, _ = sent({**CHAT, "max_tokens": 5}, given_headers)
    _, plain, _ = sent({**CHAT, "max_tokens": 5})
    more = {name: value for name, value in headers.items() if plain.get(name) != value}
    assert more == {name.decode(): value.decode() for name, value in given_headers.items() if name in PASSED}


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(("traces", "parent", "sent_on"), [
    (False, f"00-{TRACE}-00f067aa0ba902b7-01", f"00-{TRACE}-00f067aa0ba902b7-01"),
    (True, f"00-{TRACE}-00f067aa0ba902b7-01", f"00-{TRACE}-0000000000000abc-01"),
    (False, "no trace", "no trace"),
    (True, "no trace", None),
])  # fmt: skip
def test_where_spans_are_made_a_trace_goes_on_from_the_attempts_own(traces, parent, sent_on):
    """Who makes none passes it on untouched; what cannot be read begins a trace anew, and takes its state with it."""
    _, headers, _ = sent(
        {**CHAT, "max_tokens": 5}, {b"traceparent": parent.encode(), b"tracestate": b"a=1"}, traces=traces
    )
    assert headers.get("traceparent") == sent_on
    assert headers.get("tracestate") == (None if sent_on is None else "a=1")


def test_with_anthropic_a_version_is_always_spoken():
    for given_headers, version in (
        ({}, ANTHROPIC_VERSION.decode()),
        ({b"anthropic-version": b"2024-01-01"}, "2024-01-01"),
    ):
        _, headers, _ = sent(MESSAGES, given_headers, Protocol.MESSAGES, anthropic=True)
        assert headers["anthropic-version"] == version
        assert headers["x-api-key"] == "sk-key"
        assert "authorization" not in headers
    assert "anthropic-version" not in sent(MESSAGES, {b"anthropic-version": b"x"}, Protocol.MESSAGES)[1]


def test_a_hold_lasts_longer_than_the_longest_answer():
    assert site().hold_timeout_ns == SupplierTimeouts().total_ns + SETTLING_NS
    other = SupplierSite("x", {}, SupplierTimeouts(total_ns=5))
    assert other.hold_timeout_ns == 5 + SETTLING_NS


def test_a_name_that_no_header_can_hold_is_written_as_it_can():
    assert SupplierSite("词元 cloud", {}).name_bytes == b"?? cloud"


@pytest.mark.parametrize(("url", "address"), [
    ("https://api.example/v1", Address("api.example", 443, tls=True)),
    ("http://10.0.0.1/v1", Address("10.0.0.1", 80, tls=False)),
    ("http://[::1]:8000/v1", Address("::1", 8000, tls=False)),
    ("https://API.Example:8443", Address("api.example", 8443, tls=True)),
])  # fmt: skip
def test_an_address_is_where_the_url_leads(url, address):
    assert address_of(url) == address


def test_the_query_of_a_url_is_asked_for():
    head = head_of("https://x.example/v1/chat/completions?api-version=2026-01-01", "", {}, anthropic=False)
    assert head.startswith(b"POST /v1/chat/completions?api-version=2026-01-01 HTTP/1.1\r\n")


def test_a_head_has_the_operators_own_lines_and_no_key_where_there_is_none():
    head = head_of("https://x.example:8443/v1/chat/completions", "", {"X-Team": "seven"}, anthropic=False)
    assert b"host: x.example:8443\r\n" in head
    assert head.endswith(b"X-Team: seven\r\n")
    assert b"authorization" not in head


def supplier(**terms) -> Supplier:
    return replace(
        Supplier(1, "maker", "https://x.example/v1", Dialect.OPENAI, "", Reference("env", "KEY"), "", (),
                 SupplierTimeouts(connect_ns=7), NO_LIMITS),
        **terms,
    )  # fmt: skip


def test_a_site_speaks_what_its_supplier_does_with_keys_from_where_the_file_says(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("sk-in-a-file\n")
    asked = []

    def pool_of(address, connect_ns):
        asked.append((address, connect_ns))
        return SupplierPool(address, Clock())

    made = site_of(
        supplier(headers=(("x-org", Reference("file", str(secret))), ("x-plain", "yes")), anthropic_base_url="https://y.example"),
        {"KEY": "sk-of-the-environment"}, pool_of,
    )  # fmt: skip
    assert set(made.ways) == set(Protocol)
    assert {address.host for address, _ in asked} == {"x.example", "y.example"}
    assert {connect_ns for _, connect_ns in asked} == {7}
    assert len(made.pools) == len(asked)
    chat, messages = made.ways[Protocol.CHAT], made.ways[Protocol.MESSAGES]
    assert b"authorization: Bearer sk-of-the-environment\r\n" in chat.head
    assert b"x-org: sk-in-a-file\r\nx-plain: yes\r\n" in chat.head
    assert b"x-api-key: sk-of-the-environment\r\n" in messages.head
    assert messages.head.startswith(b"POST /v1/messages HTTP/1.1\r\nhost: y.example\r\n")
    assert messages.anthropic
    assert not chat.anthropic


@pytest.mark.parametrize(
    "where",
    [{"key": Reference("env", "KEY")}, {"headers": (("x-org", Reference("file", "/nowhere/at/all")),)}],
)
def test_a_secret_that_is_not_there_is_malformed_and_named(where):
    with pytest.raises(Malformed, match=r"env:KEY|file:/nowhere"):
        site_of(supplier(**{"key": None, **where}), {}, lambda address, _: SupplierPool(address, Clock()))
