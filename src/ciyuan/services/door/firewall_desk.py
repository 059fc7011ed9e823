"""The firewall at the door: each request's texts are searched before anything is held, each answer's before they are shown; and
what an agent may not do is refused, whether it is offered in a request or called in an answer.

| a key's mode | a finding |
|---|---|
| `rules` | is reported, masked or blocks, as its rule says |
| `report` | is reported |
| `block` | blocks |
| `off` | is not looked for |

A request without a finding, as nearly all are, costs one pass over its texts; only one that has some is taken apart and put
together again. A firewall that can't search refuses (`fault`: a server does not start with one).

A request and its answer share their placeholders: a value that is masked on its way out has the same name on its way back. How
answers are screened: `gateway/answer_screen.py`. Embeddings hold no text, and are not.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from ciyuan.gateway.answer_screen_terms import Screening, ScreenMode, tempered
from ciyuan.gateway.door_refusals import DoorRefusal, Protocol, Refused
from ciyuan.gateway.firewall import AuditRecord, Firewall, Placeholders
from ciyuan.gateway.firewall_agent import AgentPolicy, overreach
from ciyuan.gateway.firewall_body import judge_body
from ciyuan.gateway.firewall_rules import Action, Refusal
from ciyuan.services.door.registry_keys import FirewallMode

if TYPE_CHECKING:
    from ciyuan.gateway.ask import Ask
    from ciyuan.services.door.registry import Key

ALL_ALLOWED = AgentPolicy()
SCREEN_MODES = {
    FirewallMode.OFF: ScreenMode.OFF,
    FirewallMode.REPORT: ScreenMode.REPORT,
    FirewallMode.RULES: ScreenMode.RULES,
    FirewallMode.BLOCK: ScreenMode.BLOCK,
}
Record = Callable[["Key", str, AuditRecord], None]
"""Keeps a finding: whose, in a "request" or an "answer", and its record, which holds the masked text only."""


class FirewallDesk:
    """One firewall for all keys. `record` keeps what was found."""

    def __init__(self, firewall: Firewall, record: Record, *, opaque_allowed: bool = True) -> None:
        self.firewall, self.record, self.opaque_allowed = firewall, record, opaque_allowed
        self._tempered = {mode: tempered(firewall, mode) for mode in ScreenMode}

    def screening(
        self, key: "Key", protocol: Protocol, placeholders: Placeholders, name: str
    ) -> Screening | None:
        """What an answer is screened by; None if nothing in it is looked at.

        `placeholders` are those that the request was screened with, `name` is what its client knows the request by.
        """
        mode = SCREEN_MODES[key.firewall]
        policy = None if key.policy == ALL_ALLOWED else key.policy
        if protocol is Protocol.EMBEDDINGS or (mode is ScreenMode.OFF and policy is None):
            return None
        record = partial(self.record, key, "answer")
        return Screening(protocol, mode, self._tempered[mode], placeholders, policy, record, name)

    def screen(
        self, key: "Key", ask: "Ask", body: bytes, placeholders: Placeholders | None = None
    ) -> bytes | Refused:
        """The body that may go on, or why none may. `placeholders` are filled, to be handed to `screening`."""
        mode = key.firewall
        if mode is not FirewallMode.OFF:
            screened = self._search(key, ask, body, mode, placeholders or Placeholders())
            if isinstance(screened, Refused):
                return screened
            body = screened
        if key.policy != ALL_ALLOWED:
            beyond = overreach(key.policy, msgspec.json.decode(body))
            if beyond:
                worst = beyond[0]
                where = f" at {worst.host}" if worst.host else ""
                return Refused(DoorRefusal.NOT_PERMITTED, "tools", f"The key may not use {worst.tool}{where}: "
                               f"{worst.verdict.name.lower().replace('_', ' ')}.")  # fmt: skip
        return body

    def _search(
        self, key: "Key", ask: "Ask", body: bytes, mode: FirewallMode, placeholders: Placeholders
    ) -> bytes | Refused:
        heard = ask.heard
        texts = heard.texts + heard.asides if heard.asides else heard.texts
        found = self.firewall.search(texts)
        opaque = heard.inline_bytes > 0 and not self.opaque_allowed
        if not isinstance(found, Refusal) and not opaque and not any(found):
            return body
        judged = judge_body(
            self.firewall, msgspec.json.decode(body), placeholders, opaque_allowed=self.opaque_allowed
        )
        for record in judged.audits:
            self.record(key, "request", record)
        if mode is FirewallMode.REPORT and judged.refusal in {
            Refusal.NONE,
            Refusal.BLOCKED,
            Refusal.CANNOT_MASK,
        }:
            return body
        if judged.refusal:
            return Refused(DoorRefusal.CONTENT_BLOCKED, message=_words(judged.refusal, judged.audits))
        if mode is FirewallMode.BLOCK and judged.findings:
            return Refused(DoorRefusal.CONTENT_BLOCKED, message=_words(Refusal.BLOCKED, judged.audits))
        return msgspec.json.encode(judged.body) if judged.action is Action.MASK else body


def _words(refusal: Refusal, audits: tuple[AuditRecord, ...]) -> str:
    """Why a request may not leave: which rules, and where; never the value."""
    places = ", ".join(dict.fromkeys(f"{record.rule} in {record.path}" for record in audits))
    what = refusal.name.lower().replace("_", " ")
    return (
        f"The request holds what must not leave ({what}): {places}."
        if places
        else f"The firewall refuses: {what}."
    )
