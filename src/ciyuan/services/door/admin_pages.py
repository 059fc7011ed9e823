"""What the operator's port answers: it is not for clients, and not to be reached by them.

| GET | answer |
|---|---|
| /metrics | Prometheus' text format (`counters`) |
| /healthz, /readyz | as on the clients' port |
| /status | suppliers, circuits, speeds, calls under way, the journal, as JSON |
| /audit | what the audit has found of each supplier, as JSON; 404 where nothing is audited |
"""

import time
from typing import TYPE_CHECKING

import msgspec

from ciyuan import __version__
from ciyuan.gateway.audit_sample import Side
from ciyuan.services.compiled import running
from ciyuan.services.door.counters import CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ciyuan.gateway.audit_report import SideReport
    from ciyuan.services.door.audit_desk import AuditDesk
    from ciyuan.services.door.client_connection import ClientConnection, Request
    from ciyuan.services.door.serving import Gateway

_JSON = b"content-type: application/json\r\n"


class AdminPages:
    """Answers for one gateway."""

    body_bytes_max = 2**16

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway

    def handle(self, connection: "ClientConnection", request: "Request") -> None:
        """Answer a request."""
        gateway, path = self._gateway, request.target.partition(b"?")[0]
        if request.method not in {b"GET", b"HEAD"}:
            connection.respond(405, _JSON + b"allow: GET\r\n", b'{"error":"use GET here"}')
        elif path == b"/metrics":
            connection.respond(200, b"content-type: %b\r\n" % CONTENT_TYPE.encode(), gateway.counters.page())
        elif path == b"/healthz":
            connection.respond(200, _JSON, b'{"status":"ok"}')
        elif path == b"/readyz":
            ready = not gateway.door.draining and gateway.host.failure is None
            connection.respond(
                200 if ready else 503, _JSON, b'{"status":"%b"}' % (b"ready" if ready else b"not ready")
            )
        elif path == b"/status":
            connection.respond(200, _JSON, msgspec.json.encode(self.status()))
        elif path == b"/audit" and gateway.audit is not None:
            connection.respond(200, _JSON, msgspec.json.encode(self._audited(gateway.audit.desk)))
        else:
            connection.respond(
                404, _JSON, b'{"error":"there is /metrics, /healthz, /readyz, /status and /audit"}'
            )

    def malformed(self, connection: "ClientConnection", status: int, message: str) -> None:
        """Answer what is no request."""
        connection.respond(status, _JSON, msgspec.json.encode({"error": message}))

    def status(self) -> dict[str, object]:
        """How the gateway stands."""
        gateway = self._gateway
        door, host, fold = gateway.door, gateway.host, gateway.store.fold
        return {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(gateway.clock() / 1e9)),
            "version": __version__,
            "door": running(),
            "draining": door.draining,
            "calls_in_flight": len(door.calls),
            "calls_waiting": door.router.queue.size,
            "connections": len(gateway.connections),
            "journal": {"applied": host.applied, "durable": host.durable, "failure": host.failure},
            "usage": None
            if fold is None
            else {"watermark": fold.watermark, "pending_rows": fold.pending_rows},
            "findings_dropped": gateway.findings.dropped,
            "offers": [
                {
                    "supplier": state.offer.supplier_name,
                    "model": state.offer.model,
                    "tier": state.offer.tier.name.lower(),
                    "standing": state.standing.name.lower(),
                    "circuit": state.circuit.name.lower(),
                    "in_flight": state.in_flight,
                }
                for state in door.router.states(gateway.clock())
            ],
        }

    def _audited(self, desk: "AuditDesk") -> dict[str, object]:
        """What the audit has found."""
        names = {supplier.number: supplier.name for supplier in self._gateway.catalogue.suppliers}
        counts = desk.counts
        return {
            "offered": counts.offered,
            "heard": counts.heard,
            "dropped": counts.dropped,
            "failure": desk.failure,
            "suppliers": [
                {
                    "supplier": names.get(report.supplier, str(report.supplier)),
                    "calls": max((side.calls for side in report.sides), default=0),
                    "alarms": [str(alarm) for side in report.sides for alarm in side.alarms],
                    **{
                        side.name.lower(): _side([each for each in report.sides if each.side is side])
                        for side in Side
                    },
                }
                for report in desk.report()
            ],
        }


def _side(reports: "Sequence[SideReport]") -> dict[str, int]:
    """One side of a supplier's counts, over its grades."""
    return {
        "counted": sum(report.counted for report in reports),
        "claimed": sum(report.claimed for report in reports),
        "at_stake_micro": sum(report.at_stake_micro for report in reports),
    }
