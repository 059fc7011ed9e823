"""The firewall on answers that come whole: a body in, out of it the body that may be shown, or the error that goes instead.

    screen_whole(screening, body) ─▶ Screened

Nothing is shown that was not looked at; a body in which nothing is found goes on byte for byte, and one that is masked is the
supplier's but for the masked texts. A body that is no JSON, as the page of a proxy, is one text.

A whole answer that is refused has status 400, as a request that is: 5xx would make SDKs ask, and pay, once more, and 200 would
promise an answer.
"""

from ciyuan.gateway.answer_screen_events import opaque_in
from ciyuan.gateway.answer_screen_rest import Rest, read_json, rewritten, spelt_out
from ciyuan.gateway.answer_screen_terms import Screened, Screening, Stopped, blocked
from ciyuan.gateway.door_refusals import error_body
from ciyuan.gateway.firewall import audit, verdict
from ciyuan.gateway.firewall_rules import Refusal


def screen_whole(screening: Screening, body: bytes) -> Screened:
    """A whole answer, or the body of a supplier's error: what of it may go on, or the error that goes instead."""
    try:
        return Screened(_whole(screening, body))
    except Stopped as stop:
        refused = stop.refused
    except Exception:
        refused = blocked(Refusal.SCAN_FAILED)
    return Screened(error_body(refused, screening.protocol, screening.name), refused)


def _whole(screening: Screening, body: bytes) -> bytes:
    try:
        read, data = read_json(body)
    except ValueError:
        return _whole_text(screening, body)
    changes, written = Rest(screening).look(data, read, (), opaque_in(read))
    if not screening.changes or (not changes and written is data):
        return body
    return rewritten(written, spelt_out(read) | dict(changes)) if changes else written


def _whole_text(screening: Screening, body: bytes) -> bytes:
    """An answer that is no JSON, as the page of a proxy."""
    firewall = screening.firewall
    if firewall is None:
        return body
    text = body.decode("utf-8", "replace")
    found = firewall.search([text])
    if isinstance(found, Refusal):
        raise Stopped(blocked(found))
    records = audit("body", text, found[0], screening.placeholders)
    for record in records:
        screening.record(record)
    judged = verdict(text, found[0], screening.placeholders)
    if judged.refusal:
        raise Stopped(blocked(judged.refusal, records))
    return judged.text.encode() if judged.text != text else body
