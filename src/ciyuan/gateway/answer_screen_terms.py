"""What an answer is screened by, what comes of it, and in which words it is refused. Shared by all `answer_screen*` modules.

| mode | a text | a call of a tool |
|---|---|---|
| OFF | passes, not looked at | judged by the key's policy, if it has one |
| REPORT | passes at once, findings are recorded | the same; findings are recorded |
| RULES | is blocked, masked or reported, as each rule says | the same, when it is whole |
| BLOCK | any finding blocks | the same, when it is whole |
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from ciyuan.gateway.door_refusals import DoorRefusal, Protocol, Refused
from ciyuan.gateway.firewall import AuditRecord, Firewall, Placeholders
from ciyuan.gateway.firewall_agent import AgentPolicy, AgentVerdict, Overreach
from ciyuan.gateway.firewall_rules import Action, Finding, Kind, Refusal, View
from ciyuan.gateway.firewall_sight import Seen


class ScreenMode(IntEnum):
    """What is done about the findings in an answer."""

    OFF = 0
    REPORT = 1
    RULES = 2
    BLOCK = 3


class OneAction(Firewall):
    """A firewall like another, but for what is done: one action, whatever the rules say. It shares the other's engine."""

    def __init__(self, firewall: Firewall, action: Action) -> None:
        vars(self).update(vars(firewall))
        self._action = action

    def findings(self, data: bytes, seen: Sequence[Seen], shift: int) -> tuple[Finding, ...]:
        """What was seen, as findings of the one action."""
        return tuple(found._replace(action=self._action) for found in super().findings(data, seen, shift))


def tempered(firewall: Firewall, mode: ScreenMode) -> Firewall | None:
    """The firewall that a mode asks for; None for OFF. Make it once: it serves all answers."""
    if mode is ScreenMode.OFF:
        return None
    if mode is ScreenMode.RULES:
        return firewall
    return OneAction(firewall, Action.REPORT if mode is ScreenMode.REPORT else Action.BLOCK)


@dataclass(frozen=True, slots=True)
class Screening:
    """What one answer is screened by.

    `firewall` is the mode's own (`tempered`). `placeholders` are the request's, so that a value has one placeholder in both.
    A `policy` that is None permits every tool. `record` hears each finding. `name` is the request's, as errors tell it.
    """

    protocol: Protocol
    mode: ScreenMode
    firewall: Firewall | None
    placeholders: Placeholders
    policy: AgentPolicy | None
    record: Callable[[AuditRecord], None]
    name: str = ""

    @property
    def changes(self) -> bool:
        """Whether texts may be masked or blocked, and so have to wait until they are judged."""
        return self.mode >= ScreenMode.RULES


@dataclass(frozen=True, slots=True)
class Screened:
    """What of an answer may go on to the client, and the refusal that it ends with, if it does.

    Of a stream `passing` then ends with the event that tells the refusal; of a whole answer it is the body that does.
    """

    passing: bytes
    refused: Refused | None = None


class Stopped(Exception):
    """The answer is refused here. Raised and caught inside a screen."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused)
        self.refused = refused


def blocked(refusal: Refusal, records: Iterable[AuditRecord] = ()) -> Refused:
    """The refusal of an answer in words: which rules, and where; never the value."""
    places = ", ".join(dict.fromkeys(f"{record.rule} in {record.path}" for record in records))
    what = refusal.name.lower().replace("_", " ")
    message = (
        f"The answer holds what must not pass ({what}): {places}."
        if places
        else f"The firewall refuses the answer: {what}."
    )
    return Refused(DoorRefusal.CONTENT_BLOCKED, message=message)


def withheld(beyond: Overreach) -> tuple[Refused, AuditRecord]:
    """The refusal of a call that the key's policy does not allow, and its record. A tool and a host are no one's secret."""
    where = f" at {beyond.host}" if beyond.host else ""
    why = beyond.verdict.name.lower().replace("_", " ")
    rule = "agent-tool" if beyond.verdict < AgentVerdict.DESTINATION_DENIED else "agent-destination"
    record = AuditRecord(
        beyond.tool, rule, Kind.AGENT, Action.BLOCK, View.PLAIN, "", f"{beyond.tool}{where}: {why}"
    )
    message = f"The key may not use {beyond.tool}{where}: {why}. The call is withheld."
    return Refused(DoorRefusal.NOT_PERMITTED, "tools", message), record
