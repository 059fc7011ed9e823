"""Where the door meets the audit: every answer that was charged by its supplier's claim is offered to be counted again.

| of a call | handed over |
|---|---|
| what was asked | its texts, one by one; whether there was more than text (tools, pictures, what the supplier keeps) |
| what was delivered | the visible text of each choice, each call of a tool, the reasoning that was shown |
| what was claimed | the claim, and the prices that it was charged by |

Where a supplier's usage cannot be had, and the model's vocabulary is here, `count` counts an answer at once, for the charge.
"""

from collections import defaultdict
from typing import TYPE_CHECKING

from ciyuan.gateway.answer import Told
from ciyuan.gateway.audit_sample import Reasoning
from ciyuan.gateway.ending import Charge
from ciyuan.gateway.usage import Leg, Provenance, Usage, usage_from
from ciyuan.services.door.audit_desk import AuditDesk, FinishedCall
from ciyuan.services.vocabularies import Vocabularies

if TYPE_CHECKING:
    from ciyuan.services.door.attempt import Attempt

_VISIBLE = {Told.TEXT, Told.REFUSAL, Told.TOOL_CALL}


class AuditHook:
    """Hooked into a door: `on_attempt` tells `ended`, `counter` is `count`, `keeps_text` is the desk's `chooses`."""

    def __init__(self, desk: AuditDesk, vocabularies: Vocabularies) -> None:
        self.desk, self._vocabularies = desk, vocabularies

    def ended(self, attempt: "Attempt") -> None:
        """An attempt has ended: offer it to the audit, if it is charged by what its supplier claims."""
        outcome = attempt.outcome
        if outcome is None or outcome.charge is not Charge.CLAIMED or not attempt.keeps_text:
            return
        if self.desk.turns_away():
            return
        ask, offer = attempt.call.ask, attempt.offer
        visible, reasoning = _joined(attempt)
        claim = outcome.ending.claim
        hidden = claim.usage is not None and claim.usage.amount(Leg.REASONING) > 0 and not reasoning
        heard = ask.heard
        prices = offer.prices.for_input(claim.usage.input_tokens if claim.usage else 0).pico
        self.desk.offer(
            FinishedCall(
                key=attempt.request,
                supplier=offer.supplier,
                grade=offer.grade,
                claim=claim,
                vocabulary=offer.tokenizer,
                asked=tuple(heard.texts),
                delivered=visible,
                reasoning=reasoning,
                reasoning_seen=Reasoning.SHOWN
                if reasoning
                else Reasoning.HIDDEN
                if hidden
                else Reasoning.NONE,
                asked_whole=not (
                    heard.unseen
                    or heard.tools
                    or heard.images_by_url
                    or heard.images_inline
                    or heard.token_ids
                ),
                delivered_whole=not hidden,
                messages=max(1, ask.messages),
                answers=max(1, ask.choices),
                input_price_micro=prices[Leg.INPUT],
                output_price_micro=prices[Leg.OUTPUT],
            )
        )

    def count(self, attempt: "Attempt") -> Usage | None:
        """An attempt counted with its model's vocabulary; None if that is not here, or the texts were not kept."""
        name = attempt.offer.tokenizer
        if not name or name not in self._vocabularies or not attempt.keeps_text:
            return None
        count, held = self._vocabularies.count, attempt.held
        asked = sum(count(name, text) for text in attempt.call.ask.heard.texts)
        delivered = sum(count(name, text) for texts in _joined(attempt) for text in texts)
        legs = {Leg.INPUT: min(asked, held.tokens_in), Leg.OUTPUT: min(delivered, held.tokens_out)}
        return usage_from(Provenance.COUNTED, legs)


def _joined(attempt: "Attempt") -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What was delivered, each choice's and each call's pieces joined: the visible texts, and the reasoning."""
    visible: dict[tuple[Told, int], list[str]] = defaultdict(list)
    reasoning: dict[int, list[str]] = defaultdict(list)
    for kind, place, text in attempt.told:
        if kind in _VISIBLE:
            visible[kind, place].append(text)
        elif kind is Told.REASONING:
            reasoning[place].append(text)
    return tuple(map("".join, visible.values())), tuple(map("".join, reasoning.values()))
