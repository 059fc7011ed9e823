"""The desk: calls counted beside the door, in order, bounded, kept; what fails stops the audit and not the door."""

import json
import threading
from dataclasses import replace
from fractions import Fraction

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.audit import Alarm, Audit, Heard
from ciyuan.gateway.audit_judgement import Basis, Verdict
from ciyuan.gateway.audit_sample import Reasoning, Script, Side
from ciyuan.gateway.audit_terms import AuditTerms
from ciyuan.gateway.audit_tests import AlarmKind
from ciyuan.services.disk import Disk
from ciyuan.services.door.audit_desk import AuditDesk, FinishedCall, is_chosen, read_audit, rest_s, sample_of
from ciyuan.services.vocabularies import Vocabularies
from tests.gateway.audited import claim_of

ENGLISH = "The quick brown fox jumps over the lazy dog, while 12 engineers count their tokens. "
CHINESE = "词元是人工智能模型处理文本的基本单位，市场按词元计价并结算。"
NAME = "deepseek-v4"
WAIT_S = 30


@pytest.fixture(scope="module")
def vocabularies():
    opened = Vocabularies()
    opened.open(NAME)
    return opened


def call(key=1, *, asked=(ENGLISH,), delivered=(CHINESE,), claim=None, **others):
    return FinishedCall(
        key, 5, 2, claim or claim_of(20, 19), vocabulary=NAME, asked=asked, delivered=delivered, **others
    )


class Held:
    """A callback that waits until it is let go, and keeps what it heard."""

    def __init__(self):
        self.heard = []
        self.reached, self.go = threading.Event(), threading.Event()

    def __call__(self, heard):
        self.reached.set()
        assert self.go.wait(WAIT_S)
        self.heard.append(heard)


def test_a_call_is_counted_with_the_real_vocabulary(vocabularies):
    sample = sample_of(
        call(
            asked=(ENGLISH, CHINESE),
            delivered=(CHINESE,),
            reasoning=(ENGLISH,),
            reasoning_seen=Reasoning.SHOWN,
            messages=2,
            input_price_micro=3,
            output_price_micro=4,
        ),
        vocabularies,
    )
    words = vocabularies.count(NAME, ENGLISH)
    assert (sample.asked.counted, sample.delivered.counted) == (words + 18, words + 18)
    assert sample.asked.chars == len(ENGLISH + CHINESE) == sample.delivered.chars
    assert sample.asked.octets == len((ENGLISH + CHINESE).encode())
    assert (sample.asked.script, sample.asked.pieces) == (Script.LATIN, 2)
    assert (sample.price_micro(Side.INPUT), sample.price_micro(Side.OUTPUT)) == (3, 4)


def test_reasoning_that_is_not_shown_is_not_counted(vocabularies):
    for seen in (Reasoning.NONE, Reasoning.HIDDEN):
        summarised = call(reasoning=("In short: yes.",), reasoning_seen=seen)
        assert sample_of(summarised, vocabularies).delivered.counted == 18


def test_a_part_of_what_was_asked_is_not_counted(vocabularies):
    sample = sample_of(call(asked_whole=False, delivered_whole=False), vocabularies)
    assert (sample.asked.counted, sample.asked.whole) == (None, False)
    assert (sample.delivered.counted, sample.delivered.whole) == (18, False)


def test_without_a_vocabulary_only_bytes_are_kept(vocabularies):
    sample = sample_of(replace(call(), vocabulary=""), vocabularies)
    assert sample.delivered.counted is None
    assert (sample.delivered.octets, sample.delivered.script) == (len(CHINESE.encode()), Script.CJK)


def test_calls_are_heard_in_order_and_reported(vocabularies):
    heard: list[Heard] = []
    desk = AuditDesk(vocabularies, heard=heard.append)
    assert all(desk.offer(call(key)) for key in range(50))
    desk.close()
    assert [one.judgements[1].key for one in heard] == list(range(50))
    assert {(one.judgements[1].verdict, one.judgements[1].basis) for one in heard} == {
        (Verdict.CONFIRMED, Basis.COUNTED)
    }
    (report,) = desk.report()
    assert (report.supplier, report.calls, report.alarms) == (5, 50, ())
    assert (desk.counts.offered, desk.counts.heard, desk.counts.dropped) == (50, 50, 0)


def test_a_liar_is_found_through_real_counts(vocabularies):
    """An answer of 500 tokens and more, 5% added to each."""
    texts = [CHINESE * repeats for repeats in range(28, 92)]
    counted = [vocabularies.count(NAME, text) for text in texts]
    alarms: list[Alarm] = []
    desk = AuditDesk(vocabularies, heard=lambda heard: alarms.extend(heard.alarms))
    for key in range(200):
        place = key * 37 % 64
        assert desk.offer(
            call(key, delivered=(texts[place],), claim=claim_of(20, counted[place] * 105 // 100 + 1))
        )
    desk.close()
    assert [(alarm.kind, alarm.side) for alarm in alarms] == [(AlarmKind.OVER_CLAIM, Side.OUTPUT)]
    assert 64 <= alarms[0].key < 200
    assert alarms == list(desk.report()[0].alarms)


def test_a_full_queue_drops_and_counts_and_never_waits(vocabularies):
    held = Held()
    desk = AuditDesk(vocabularies, heard=held, queue_calls_max=3)
    assert desk.offer(call(0))
    assert held.reached.wait(WAIT_S)
    assert not desk.turns_away()
    assert [desk.offer(call(key)) for key in range(1, 6)] == [True, True, True, False, False]
    assert desk.turns_away()
    held.go.set()
    desk.close()
    assert [heard.judgements[0].key for heard in held.heard] == [0, 1, 2, 3]
    assert (desk.counts.offered, desk.counts.heard, desk.counts.dropped) == (7, 4, 3)


def test_the_queue_is_bounded_in_characters(vocabularies):
    held = Held()
    desk = AuditDesk(vocabularies, heard=held, queue_chars_max=250)
    assert desk.offer(call(0))
    assert held.reached.wait(WAIT_S)
    assert [desk.offer(call(key)) for key in (1, 2, 3)] == [True, True, False]
    held.go.set()
    desk.close()
    assert desk.counts.dropped == 1


def test_closing_may_drop_what_waits(vocabularies):
    held = Held()
    desk = AuditDesk(vocabularies, heard=held)
    for key in range(4):
        desk.offer(call(key))
    assert held.reached.wait(WAIT_S)
    closer = threading.Thread(target=lambda: desk.close(drain=False))
    with desk._turn:
        closer.start()
        assert desk._turn.wait_for(lambda: desk.counts.dropped == 3, WAIT_S)
    held.go.set()
    closer.join(WAIT_S)
    assert (desk.counts.heard, desk.counts.dropped) == (1, 3)
    assert not desk.offer(call(9))
    desk.close()
    assert desk.counts.dropped == 4


def test_a_share_is_the_same_calls_every_time_and_about_as_large_as_said(vocabularies):
    chosen = [key for key in range(20_000) if is_chosen(key, 2_500)]
    assert abs(Fraction(len(chosen), 20_000) - Fraction(1, 4)) < Fraction(1, 100)
    assert all(is_chosen(key, 10_000) for key in range(100))
    assert not any(is_chosen(key, 0) for key in range(1_000))
    salted = [key for key in range(20_000) if is_chosen(key, 2_500, b"another")]
    assert abs(len(set(chosen) & set(salted)) - 1_250) < 150
    desk = AuditDesk(vocabularies, share=2_500)
    assert [key for key in range(100) if desk.chooses(key)] == [key for key in chosen if key < 100]
    assert [key for key in range(100) if desk.offer(call(key))] == [key for key in chosen if key < 100]
    desk.close()
    assert desk.counts.not_chosen == 100 - desk.counts.heard


def test_the_thread_rests_and_closing_wakes_it(vocabularies):
    """By this clock a call takes an hour of counting, so that without being woken it would rest for three."""
    assert rest_s(10**9, 25) == 3
    assert rest_s(10**9, 100) == 0
    hours = iter(range(0, 10**18, 3_600 * 10**9))
    held = Held()
    desk = AuditDesk(vocabularies, heard=held, clock_ns=lambda: next(hours))
    assert desk.offer(call(0))
    assert desk.offer(call(1))
    held.go.set()
    desk.close()
    assert len(held.heard) == 2


def test_a_vocabulary_that_was_not_opened_is_refused_at_the_door(vocabularies):
    desk = AuditDesk(vocabularies)
    with pytest.raises(Malformed, match="a vocabulary that was opened"):
        desk.offer(replace(call(), vocabulary="o200k"))
    desk.close()
    assert desk.counts.offered == 0


def test_the_state_is_kept_and_gone_on_with(vocabularies, tmp_path):
    path = tmp_path / "audit.json"
    whole = Audit()
    for first in (0, 40):
        desk = AuditDesk(vocabularies, path=path)
        for key in range(first, first + 40):
            desk.offer(call(key))
            whole.apply(sample_of(call(key), vocabularies))
        desk.close()
        assert desk.report()[0].calls == first + 40
    assert read_audit(path).snapshot() == whole.snapshot()
    assert [entry.name for entry in tmp_path.iterdir()] == ["audit.json"]


class CountingDisk(Disk):
    """Counts the files that it writes."""

    written = 0

    def write_new(self, path, buffers):
        self.written += 1
        return super().write_new(path, buffers)


def test_the_state_is_kept_every_so_many_calls(vocabularies, tmp_path):
    disk = CountingDisk()
    desk = AuditDesk(vocabularies, path=tmp_path / "audit.json", save_calls=10, disk=disk)
    for key in range(25):
        desk.offer(call(key))
    desk.close()
    desk.close()
    assert disk.written == 3
    kept = json.loads((tmp_path / "audit.json").read_text())["verdicts"]
    assert sum(sum(row[3:12]) for row in kept) == 2 * 25


class FullDisk(Disk):
    """A disk on which nothing more fits."""

    def write_new(self, path, buffers):
        raise OSError(28, "No space left on device")


def test_a_disk_that_is_full_stops_the_audit_and_not_the_door(vocabularies, tmp_path):
    desk = AuditDesk(vocabularies, path=tmp_path / "audit.json", save_calls=1, disk=FullDisk())
    desk.offer(call(0))
    desk._thread.join(WAIT_S)
    assert "No space left" in desk.failure
    assert not desk.offer(call(1))
    assert desk.counts.dropped == 1
    desk.close()
    assert not (tmp_path / "audit.json").exists()


def test_a_callback_that_fails_is_told(vocabularies):
    def fails(_):
        raise RuntimeError("the door is gone")

    desk = AuditDesk(vocabularies, heard=fails)
    for key in range(5):
        desk.offer(call(key))
    desk.close()
    assert desk.failure == "RuntimeError: the door is gone"
    assert desk.counts.offered == 5 == desk.counts.dropped + 1


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"form": 1}', '{"form": [[1]], "verdicts": [[1.5]]}', "{"])
def test_a_file_that_is_no_state_is_refused_and_left_alone(vocabularies, tmp_path, text):
    path = tmp_path / "audit.json"
    path.write_text(text)
    with pytest.raises(Malformed, match="kept audit"):
        AuditDesk(vocabularies, path=path)
    assert path.read_text() == text


def test_acknowledging_starts_the_tests_anew(vocabularies):
    desk = AuditDesk(vocabularies, terms=AuditTerms(calibration_calls=16))
    long = CHINESE * 40
    counted = vocabularies.count(NAME, long)
    for key in range(100):
        desk.offer(call(key, delivered=(long,), claim=claim_of(20, counted + (0 if key < 16 else 500))))
    desk.close()
    assert [alarm.kind for alarm in desk.report()[0].alarms] == [AlarmKind.OVER_CLAIM, AlarmKind.RATIO_ROSE]
    assert desk.acknowledge(5, 2) == 2
    assert desk.report()[0].alarms == ()
