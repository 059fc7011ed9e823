"""The router: what is sent where as suppliers fail, slow down and fill up."""

import pytest

from ciyuan.basics.errors import InvariantBroken, Malformed
from ciyuan.basics.time import NS_PER_HOUR, NS_PER_MINUTE, NS_PER_MS, NS_PER_SECOND
from ciyuan.gateway.door_refusals import Protocol
from ciyuan.gateway.route import HEDGE_SAMPLES_MIN, WORDS_KEPT_MAX, session_of
from ciyuan.gateway.route_endings import Result
from ciyuan.gateway.route_exam import Reason
from ciyuan.gateway.route_health import CircuitState
from ciyuan.gateway.route_lane import Standing
from ciyuan.gateway.route_offers import Limits, Offer, Offers, Tier
from ciyuan.gateway.route_policy import RoutePolicy
from ciyuan.gateway.route_queue import TicketState
from tests.gateway.routes import NOW, SERVICE, chosen, offer, play, priced, router, send, used, wanted

CHEAP, DEAR = offer(1, prices=priced(1_000_000, 4_000_000)), offer(2, prices=priced(2_000_000, 5_000_000))
CACHED = priced(2_000_000, 4_000_000, cached=200_000)


def fail(made, times, asked=wanted, now_ns=NOW, result=Result.FAILED):
    """So many requests that end so."""
    for request in range(times):
        made.ended(send(made, asked(10_000 + request), now_ns), result, now_ns)


def test_the_cheapest_for_this_request_is_chosen():
    made = router(
        offer(1, prices=priced(1_000_000, 9_000_000)), offer(2, prices=priced(2_000_000, 4_000_000))
    )
    assert chosen(made, wanted(tokens=(10_000, 100))) == 1
    assert chosen(made, wanted(tokens=(1_000, 1_000))) == 2


def test_words_mean_what_they_mean_in_each_protocol():
    made = router(
        CHEAP,
        offer(3, model="claude", dialects=frozenset({Protocol.MESSAGES})),
        aliases={"auto:cheapest": ["claude", "kimi"]},
    )
    assert chosen(made, wanted(model="auto:cheapest")) == 1
    assert chosen(made, wanted(model="k*")) == 1
    assert chosen(made, wanted(model="claude")) == "MODEL_UNKNOWN"
    assert chosen(made, wanted(model="none")) == "MODEL_UNKNOWN"


def test_a_session_stays_where_its_cache_is_while_that_is_cheaper():
    first, second = (
        offer(1, prices=CACHED, cache_ns=300 * NS_PER_SECOND, hit_bp=9_000),
        offer(2, prices=priced(1_500_000, 4_000_000)),
    )
    made = router(first, second)
    talk = {"session": session_of(7, b"You are a lawyer."), "tokens": (10_000, 100)}
    assert chosen(made, wanted(**talk)) == 2, "nothing is cached yet, and the other list is cheaper"
    attempt = made.sent(asked := wanted(2, **talk), first, NOW)
    assert not attempt.continued
    end_ns = play(made, attempt, NOW, usage=used(10_000, 100))
    assert asked.tried == (first.number,)
    assert chosen(made, wanted(3, **talk), end_ns) == 1
    assert chosen(made, wanted(3, session=99, tokens=(10_000, 100)), end_ns) == 2, "another session"
    assert chosen(made, wanted(3, **talk), end_ns + 300 * NS_PER_SECOND) == 2, "the cache has forgotten"
    assert chosen(made, wanted(3, session=talk["session"], tokens=(10, 10_000)), end_ns) in {1, 2}
    now_ns = end_ns
    for request in range(10, 60):
        now_ns = play(
            made, made.sent(wanted(request, **talk), first, now_ns), now_ns, usage=used(10_000, 100)
        )
    assert chosen(made, wanted(70, **talk), now_ns) == 2, "it was measured: this cache saves nothing"


def test_of_equals_the_one_that_served_the_session():
    equals = [offer(supplier, prices=priced(0, 0), cache_ns=NS_PER_MINUTE) for supplier in range(1, 5)]
    made = router(*equals)
    end_ns = play(made, made.sent(wanted(1, session=5), equals[2], NOW), NOW)
    assert {chosen(made, wanted(request, session=5), end_ns) for request in range(40)} == {3}
    assert {chosen(made, wanted(request), end_ns) for request in range(40)} == {1, 2, 3, 4}


def test_sessions_are_bounded_and_the_oldest_goes_first():
    made = router(offer(1, cache_ns=NS_PER_HOUR), sessions_max=3)
    for session in (1, 2, 3, 1, 4):
        play(made, send(made, wanted(session=session)), NOW)
    assert set(made._sessions) == {3, 1, 4}


def test_an_offer_that_fails_is_left_alone_and_tried_again_by_one():
    made = router(CHEAP, DEAR)
    fail(made, made.policy.failures_in_a_row)
    assert chosen(made, wanted()) == 2
    later_ns = NOW + made.policy.backoff_ns
    probe = send(made, wanted(1), later_ns)
    assert (probe.offer, probe.probe) == (CHEAP, 1)
    assert chosen(made, wanted(2), later_ns) == 2, "while the probe is out"
    play(made, probe, later_ns)
    assert chosen(made, wanted(3), later_ns + NS_PER_MINUTE) == 1
    assert made.states(later_ns + NS_PER_MINUTE)[0].circuit is CircuitState.CLOSED


def test_what_says_nothing_of_a_supplier_counts_neither_way():
    made = router(CHEAP, DEAR)
    fail(made, 50, result=Result.CALLED_OFF)
    fail(made, 50, result=Result.REQUEST_REFUSED)
    assert chosen(made, wanted()) == 1
    fail(made, made.policy.failures_in_a_row - 1)
    fail(made, 3, result=Result.CALLED_OFF)
    fail(made, 1)
    assert chosen(made, wanted()) == 2, "nor does it end a row of failures"


def test_one_request_that_is_denied_shuts_out_nobody_else():
    made = router(offer(1, service=SERVICE))
    fail(made, 1, result=Result.DENIED)
    assert chosen(made, wanted()) == 1
    assert made.exams() == router(offer(1, service=SERVICE)).exams(), "nor does it count in the exam"
    fail(made, made.policy.failures_in_a_row - 1, result=Result.DENIED)
    assert chosen(made, wanted()) == "SUPPLY_SHORT"
    made = router(CHEAP)
    fail(made, 1, result=Result.REFUSED_US)
    assert chosen(made, wanted()) == "SUPPLY_SHORT"


def test_a_supplier_without_room_is_left_alone_for_as_long_as_it_says():
    made = router(CHEAP)
    made.ended(send(made, wanted()), Result.LIMITED, NOW, None, 9 * NS_PER_SECOND)
    found = made.choose(wanted(2), NOW)
    assert not isinstance(found, Offer)
    assert found.retry_at_ns == NOW + 9 * NS_PER_SECOND
    assert chosen(made, wanted(2), NOW + 9 * NS_PER_SECOND) == 1


def test_limits_are_kept_by_the_pool_that_shares_them():
    shared = {"pool": 9, "limits": Limits(concurrent=2)}
    made = router(offer(1, **shared), offer(1, model="other", **shared), offer(2, prices=priced(9_000_000)))
    first, second = send(made, wanted(1)), send(made, wanted(2, "other"))
    assert chosen(made, wanted(3)) == 2
    assert chosen(made, wanted(3, "other")) == "SUPPLY_SHORT"
    play(made, first, NOW)
    assert chosen(made, wanted(3)) == 1
    play(made, second, NOW)


def test_tokens_that_were_not_used_are_room_again():
    made = router(offer(1, limits=Limits(tokens_per_minute=2_000)))
    attempt = send(made, wanted(1, tokens=(1_000, 1_000)))
    assert chosen(made, wanted(2)) == "SUPPLY_SHORT"
    made.ended(attempt, Result.ANSWERED, NOW, used(300, 50))
    assert chosen(made, wanted(2)) == 1
    failed = send(made, wanted(3, tokens=(1_000, 600)))
    assert chosen(made, wanted(4)) == "SUPPLY_SHORT"
    made.ended(failed, Result.FAILED, NOW)
    assert chosen(made, wanted(4)) == 1, "what failed used nothing"


def test_a_request_is_never_sent_to_an_offer_twice():
    made = router(CHEAP, DEAR)
    asked = wanted()
    made.ended(send(made, asked), Result.FAILED, NOW)
    assert made.try_again(asked, Result.FAILED, NOW, passed=False)
    second = send(made, asked)
    assert (second.number, second.offer) == (1, DEAR)
    assert chosen(made, asked) == "SUPPLY_SHORT"
    with pytest.raises(InvariantBroken, match="before"):
        made.sent(asked, CHEAP, NOW)


def test_what_never_left_may_be_sent_there_again():
    made = router(CHEAP)
    asked = wanted()
    made.unsent(send(made, asked), NOW)
    attempt = send(made, asked)
    assert (attempt.offer, attempt.number) == (CHEAP, 1)
    assert made.states(NOW)[0].in_flight == 1


def test_an_attempt_ends_once():
    made = router(CHEAP)
    attempt = send(made, wanted())
    made.ended(attempt, Result.FAILED, NOW)
    with pytest.raises(InvariantBroken, match="ended twice"):
        made.ended(attempt, Result.FAILED, NOW)


def test_attempts_and_their_budget_are_bounded():
    many = [offer(supplier) for supplier in range(1, 9)]
    made = router(*many, attempts_max=3)
    asked = wanted()
    for more in (True, True, False):
        made.ended(send(made, asked), Result.FAILED, NOW)
        assert made.try_again(asked, Result.FAILED, NOW, passed=False) is more
    assert not made.try_again(wanted(), Result.REQUEST_REFUSED, NOW, passed=False)
    assert not made.try_again(wanted(), Result.FAILED, NOW, passed=True)
    made = router(*many, retry_bp=1_000, retries_per_s_min=0, failures_in_a_row=10**6, failure_volume=10**6)
    retried = 0
    for request in range(2_000):
        asked = wanted(request)
        made.ended(send(made, asked), Result.FAILED, NOW)
        retried += made.try_again(asked, Result.FAILED, NOW, passed=False)
    assert 200 <= retried <= 210, "an outage is a tenth more, not twice as much"


def test_models_that_stand_in_are_tried_in_their_order():
    small = offer(3, model="small", prices=priced(1, 1))
    other = offer(4, model="other", prices=priced(1, 1))
    made = router(offer(1, limits=Limits(1)), small, other, fallbacks={"kimi": ("other", "small")})
    send(made, wanted(1))
    assert chosen(made, wanted(2)) == 4
    fail(made, 5, lambda request: wanted(request, "other"))
    assert chosen(made, wanted(2)) == 3
    assert chosen(made, wanted(2, permits=lambda model, _: model == "kimi")) == "SUPPLY_SHORT"
    assert chosen(made, wanted(2, "other")) == "SUPPLY_SHORT", "it has nobody to stand in"


def test_who_is_slow_now_is_taken_last_and_comes_back():
    slow, fast = offer(1, service=SERVICE), offer(2, service=SERVICE, prices=priced(9_000_000))
    made = router(slow, fast, strict_tiers=frozenset({Tier.FREE}))
    for request in range(10):
        play(made, made.sent(wanted(request), slow, NOW), NOW, ttft_ms=8_000)
    state = made.states(NOW)[0]
    assert (state.standing, state.ttft_ns_p95, state.output_tokens_per_s_p50) == (
        Standing.BELOW,
        8_000 * NS_PER_MS,
        100,
    )
    assert chosen(made, wanted()) == 2
    assert chosen(made, wanted(tried=(fast.number,))) == 1, "rather a slow one than none"
    assert chosen(made, wanted(tried=(fast.number,), tier=Tier.FREE)) == "SUPPLY_SHORT", (
        "but not in a strict tier"
    )
    assert chosen(made, wanted(), NOW + NS_PER_HOUR) == 1


def test_a_request_beyond_a_context_goes_there_only_if_nobody_else_has_more():
    made = router(offer(1, context=1_000), offer(2, context=50_000, prices=priced(9_000_000)))
    assert chosen(made, wanted(tokens=(500, 10))) == 1
    assert chosen(made, wanted(tokens=(5_000, 10))) == 2
    assert chosen(made, wanted(tokens=(60_000, 10))) == 2, "the longest, whose own count is the judge"


def failing_exam(made, bad, now_ns=NOW):
    """An hour in which one answer of ten of `bad` fails."""
    verdict = None
    for request in range(121):
        now_ns += 30 * NS_PER_SECOND
        attempt = made.sent(wanted(request), bad, now_ns)
        result = Result.FAILED if request % 10 == 0 else Result.ANSWERED
        verdict = made.ended(attempt, result, now_ns, used()) or verdict
    return verdict, now_ns


def test_who_fails_its_exam_is_suspended_and_passes_on_probation():
    bad, good = offer(1, service=SERVICE), offer(2, service=SERVICE, prices=priced(9_000_000))
    made = router(bad, good)
    verdict, now_ns = failing_exam(made, bad)
    assert verdict is not None
    assert verdict.reason is Reason.AVAILABILITY
    assert made.states(now_ns)[0].standing is Standing.SUSPENDED
    drawn = [request for request in range(4_000) if chosen(made, wanted(request), now_ns) == 1]
    assert len(drawn) == pytest.approx(80, abs=4)
    kept = made.exams()
    for request in drawn[:30]:
        now_ns += 3 * NS_PER_MINUTE
        attempt = send(made, wanted(request), now_ns)
        assert attempt.offer is bad
        verdict = made.ended(attempt, Result.ANSWERED, now_ns, used()) or verdict
        if verdict.reason is Reason.NONE:
            break
    assert verdict.reason is Reason.NONE
    assert chosen(made, wanted(), now_ns) == 1
    anew = router(bad, good)
    anew.restore_exams(kept | {12345: kept[bad.number]})
    assert anew.exams() == kept
    assert chosen(anew, wanted(), NOW) == 2
    with pytest.raises(Malformed, match="state of an exam"):
        anew.restore_exams({bad.number: (1,)})


def hedging():
    made = router(
        offer(1, tier=Tier.ULTRA),
        offer(2, tier=Tier.ULTRA, prices=priced(9_000_000)),
        hedge_tiers=frozenset({Tier.ULTRA}),
    )
    for request in range(HEDGE_SAMPLES_MIN):
        play(made, send(made, wanted(request, tier=Tier.ULTRA)), NOW, ttft_ms=400)
    return made


def test_a_late_first_token_starts_a_second_attempt_elsewhere():
    made = hedging()
    first = send(made, asked := wanted(50, tier=Tier.ULTRA))
    at_ns = made.hedge_at_ns(first)
    assert at_ns == NOW + 400 * NS_PER_MS
    assert made.hedge(first, at_ns - 1) is None
    other = made.hedge(first, at_ns)
    assert other is not None
    assert other.supplier == 2
    second = made.sent(asked, other, at_ns)
    assert (second.number, made.hedge_at_ns(second)) == (1, None)
    made.first_token(second, at_ns + 1)
    made.ended(first, Result.CALLED_OFF, at_ns + 1)
    play(made, second, at_ns)
    assert [state.in_flight for state in made.states(at_ns)] == [0, 0]


def test_no_second_attempt_without_need_budget_or_knowledge():
    made = hedging()
    assert made.hedge_at_ns(send(made, wanted(50))) is None, "its tier does not hedge"
    begun = send(made, wanted(51, tier=Tier.ULTRA))
    made.first_token(begun, NOW)
    assert made.hedge(begun, NOW + NS_PER_SECOND) is None
    granted = 0
    for request in range(1_000):
        late = send(made, wanted(request, tier=Tier.ULTRA))
        granted += made.hedge(late, NOW + NS_PER_SECOND) is not None
        made.ended(late, Result.ANSWERED, NOW + NS_PER_SECOND)
    assert 50 <= granted <= 61, "five in a hundred, and what was saved"
    fresh = router(offer(1, tier=Tier.ULTRA), hedge_tiers=frozenset({Tier.ULTRA}))
    assert fresh.hedge_at_ns(send(fresh, wanted(tier=Tier.ULTRA))) is None, "no 95th percentile is known"
    alone = hedging()
    alone.renew(Offers([offer(1, tier=Tier.ULTRA)]))
    assert alone.hedge(send(alone, wanted(70, tier=Tier.ULTRA)), NOW + NS_PER_SECOND) is None


def waiting(**policy):
    made = router(
        offer(1, tier=Tier.HIGH, limits=Limits(1)), queue_places={Tier.ANY: 4, Tier.HIGH: 4}, **policy
    )
    return made, send(made, wanted(1, spender=1))


def test_who_waits_is_woken_when_there_is_room_higher_tiers_first():
    made, running = waiting()
    low, high = made.wait(wanted(2, spender=2), NOW), made.wait(wanted(3, spender=3, tier=Tier.HIGH), NOW)
    assert made.wake(NOW) == []
    made.ended(running, Result.ANSWERED, NOW)
    assert chosen(made, wanted(4)) == "SUPPLY_SHORT", "nobody passes those who wait"
    ((ticket, attempt),) = made.wake(NOW)
    assert (ticket, attempt.wanted.request, ticket.state) == (high, 3, TicketState.SERVED)
    assert made.wake(NOW) == []
    made.ended(attempt, Result.ANSWERED, NOW)
    ((ticket, attempt),) = made.wake(NOW)
    assert ticket is low
    made.ended(attempt, Result.ANSWERED, NOW)
    assert chosen(made, wanted(5)) == 1


def test_a_higher_tier_passes_those_who_wait_in_a_lower_one():
    made, running = waiting()
    assert made.wait(wanted(2, spender=2), NOW)
    made.ended(running, Result.ANSWERED, NOW)
    assert chosen(made, wanted(3, tier=Tier.HIGH)) == 1


def test_who_is_late_or_leaves_holds_up_nobody():
    made, running = waiting(queue_wait_ns=5)
    late, left = made.wait(wanted(2, spender=2), NOW), made.wait(wanted(3, spender=3), NOW + 1)
    assert made.wake_at_ns(NOW) == NOW + 5
    made.leave(left)
    made.leave(left)
    assert made.late(NOW + 5) == [late]
    made.leave(late)
    made.ended(running, Result.ANSWERED, NOW + 5)
    assert (made.wake(NOW + 5), made.wake_at_ns(NOW + 5)) == ([], None)
    assert chosen(made, wanted(4), NOW + 5) == 1
    assert made.wait(wanted(5, tier=Tier.ULTRA), NOW) is None, "nobody waits in this tier"


def test_a_request_that_cannot_be_served_yet_holds_up_nobody_else():
    made = router(
        offer(1, limits=Limits(1)),
        offer(2, limits=Limits(1), region="eu", prices=priced(9_000_000)),
        queue_places={Tier.ANY: 9},
    )
    home, abroad = send(made, wanted(1)), send(made, wanted(2))
    first = made.wait(wanted(3, spender=1, region="eu"), NOW)
    second = made.wait(wanted(4, spender=2), NOW)
    made.ended(home, Result.ANSWERED, NOW)
    assert [ticket for ticket, _ in made.wake(NOW)] == [second]
    made.ended(abroad, Result.ANSWERED, NOW)
    assert [ticket for ticket, _ in made.wake(NOW)] == [first]


def test_nobody_is_overtaken_by_a_smaller_one_of_its_kind():
    made = router(
        offer(1, limits=Limits(tokens_per_minute=2_000)),
        queue_places={Tier.ANY: 9},
        queue_wait_ns=NS_PER_HOUR,
    )
    play(made, send(made, wanted(1, tokens=(1_500, 0))), NOW, usage=used(1_500, 0))
    large = made.wait(wanted(2, spender=1, tokens=(1_900, 0)), NOW)
    small = made.wait(wanted(3, spender=2, tokens=(100, 0)), NOW)
    assert made.wake(NOW) == []
    full_ns = NOW + NS_PER_MINUTE
    assert [ticket for ticket, _ in made.wake(full_ns)] == [large, small]


def test_it_says_when_to_look_again():
    made = router(
        offer(1, limits=Limits(requests_per_minute=1)),
        queue_places={Tier.ANY: 9},
        queue_wait_ns=5 * NS_PER_MINUTE,
    )
    play(made, send(made, wanted(1)), NOW)
    assert made.wait(wanted(2), NOW)
    at_ns = made.wake_at_ns(NOW)
    assert at_ns == NOW + NS_PER_MINUTE
    assert made.wake(at_ns - 1) == []
    ((_, attempt),) = made.wake(at_ns)
    made.ended(attempt, Result.LIMITED, at_ns, None, 2 * NS_PER_MINUTE)
    assert made.wait(wanted(3), at_ns)
    assert made.wake_at_ns(at_ns) in {at_ns + NS_PER_MINUTE, at_ns + 2 * NS_PER_MINUTE}


def test_offers_change_under_way_and_what_is_known_stays():
    made = router(CHEAP, DEAR, queue_places={Tier.ANY: 4})
    fail(made, made.policy.failures_in_a_row)
    running = send(made, wanted(1))
    ticket = made.wait(wanted(2, spender=2), NOW)
    dearer = offer(1, prices=priced(3_000_000, 9_000_000), limits=Limits(4))
    made.renew(Offers([dearer, offer(3, prices=priced(7_000_000, 9_000_000))]))
    assert made.states(NOW)[0].circuit is CircuitState.OPEN
    made.leave(ticket)
    assert chosen(made, wanted(3)) == 3
    made.ended(running, Result.ANSWERED, NOW, used())
    later_ns = NOW + NS_PER_MINUTE
    play(made, send(made, wanted(4), later_ns), later_ns)
    assert made.states(later_ns)[0].input_price == 3_000_000
    assert chosen(made, wanted(5), later_ns) == 1


def test_another_policy_holds_from_then_on():
    made, running = waiting(failures_in_a_row=1)
    kept = made.wait(wanted(2, spender=2), NOW)
    made.renew(
        made.offers,
        RoutePolicy(
            failures_in_a_row=2, retry_bp=0, queue_places={Tier.ULTRA: 1}, strict_tiers=frozenset({Tier.HIGH})
        ),
    )
    assert made.wait(wanted(3, spender=3), NOW) is None, "its tier has no places any more"
    assert made.wait(wanted(3, tier=Tier.ULTRA), NOW) is not None
    assert not made.try_again(wanted(), Result.FAILED, NOW, passed=False)
    made.ended(running, Result.FAILED, NOW)
    assert made.states(NOW)[0].circuit is CircuitState.CLOSED
    ((ticket, attempt),) = made.wake(NOW)
    assert ticket is kept
    made.ended(attempt, Result.FAILED, NOW)
    assert made.states(NOW)[0].circuit is CircuitState.OPEN


@pytest.mark.parametrize(
    ("policy", "word"),
    [({"attempts_max": 0}, "attempts_max"), ({"attempts_max": 16}, "attempts_max"), ({"retry_bp": 10_001}, "retry_bp"),
     ({"hedge_bp": -1}, "hedge_bp"), ({"failure_bp": 0}, "failure_bp"), ({"processes": 0}, "processes"),
     ({"backoff_ns": NS_PER_HOUR}, "backoff_ns_max"), ({"queue_places": {Tier.HIGH: 0}}, "queue_places"),
     ({"retries_per_s_min": -1}, "retries_per_s_min"), ({"exam_answers_min": 0}, "exam_answers_min")],
)  # fmt: skip
def test_a_policy_that_cannot_be_is_refused_by_name(policy, word):
    with pytest.raises(Malformed, match=f"policy of routing, {word}"):
        RoutePolicy(**policy)


def test_words_of_clients_do_not_fill_the_memory():
    made = router(CHEAP)
    for stars in range(1, WORDS_KEPT_MAX + 10):
        assert chosen(made, wanted(model="kimi" + "*" * stars)) == 1
    assert len(made._tables[Protocol.CHAT]) <= WORDS_KEPT_MAX


def test_the_queue_is_the_router_s_own():
    made, running = waiting()
    made.queue.join(Tier.ANY, 1, NOW, NOW + 5, payload="something else")
    made.ended(running, Result.ANSWERED, NOW)
    with pytest.raises(InvariantBroken, match="holds no request"):
        made.wake(NOW)


def test_sessions_of_two_spenders_are_two():
    assert session_of(1, b"same") == session_of(1, b"same") != session_of(2, b"same")
    assert session_of(1, b"") > 0
