"""The firewall's scan: microseconds of CPU for 4 kB of text, whole and in pieces, beside the same rules in `re` and in RE2."""

import re
from collections.abc import Sequence

import re2

from benchmarks.record import Result, cpu_time
from ciyuan.gateway.firewall import Firewall, Placeholders, encoded
from ciyuan.gateway.firewall_checks import CHECKS
from ciyuan.gateway.firewall_pattern import EDGE, expression
from ciyuan.gateway.firewall_rules import Refusal
from ciyuan.gateway.firewall_stream import FirewallStream
from ciyuan.services.catalog_firewall import firewall_rules

BYTES = 4096
SCANS, STREAMS, PEER_SCANS, REPEATS = 200, 20, 2, 7
DELTA_CHARACTERS = 20
GOAL_US = 300.0
RE2_BYTES = 1 << 28
ENGLISH = (
    "The council met on a grey morning to weigh the plan for the old harbour, and it was plain from the first hour that "
    "nobody had read the same report. Some had figures for 2023, others for the year before; the engineer, who had both, "
    "said little. By noon they agreed on two things: the quay would stay, and the cranes, all 14 of them, would go. "
)
CHINESE = (
    "清晨的港口笼罩在薄雾之中，议会就旧码头的改造方案召开会议。第一个小时过去，显然没有人读的是同一份报告：有人拿着2023年的数据，"
    "有人拿着前一年的。工程师两份都有，却很少开口。到了中午，大家只在两件事上达成一致：码头保留，十四台起重机全部拆除。"
)
PLAIN = (
    "13812345678", "ann.li@invented.example", "4111 1111 1111 1111", "11010519491231002X", "password = hunter2X",
    "DE89 3704 0044 0532 0130 00", "+1 415 555 2671", "手机 138-1234-5678", "123-45-6789", "postgres://ann:s3cr3t@db.invented.example/x",
    "(415) 555-2671", "010-62781234", "b.o@invented.example", "身份证 440524188001010014", "6222 0212 3456 7890 124", "rm -rf /",
)  # fmt: skip
DISGUISED = (
    "１３８１２３４５６７８", "138\u200b1234\u200b5678", r"\u0031\u00338\u00312345678", "%31%33812345678",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJ0ZXN0cyJ9.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "cGFzc3dvcmQgPSBodW50ZXIyWCBhbmQgbW9yZQ==",
)  # fmt: skip
"""All values are invented."""


def cut_to_size(text: str) -> str:
    """The text over and over, BYTES long in UTF-8 or a letter less."""
    return (text * (BYTES // len(text) + 1)).encode()[:BYTES].decode(errors="ignore")


def with_values(values: Sequence[str]) -> str:
    """English with values spread through it, one of each."""
    words = (ENGLISH * 10).split(" ")
    step = len(words) // (len(values) + 1)
    for place, value in reversed(list(enumerate(values, 1))):
        words.insert(place * step, value)
    return cut_to_size(" ".join(words))


def us_per_4_kb(work: int, seconds: float, text: str) -> float:
    """Microseconds for BYTES of the text, of which `work` scans took so long."""
    return seconds / work / len(text.encode()) * BYTES * 1e6


def scan_us(firewall: Firewall, text: str) -> float:
    """A verdict on the whole text: searched, checked and masked."""

    def work() -> None:
        for _ in range(SCANS):
            firewall.judge((text,), Placeholders())

    return us_per_4_kb(SCANS, cpu_time(work, REPEATS), text)


def stream_us(firewall: Firewall, text: str) -> float:
    """The text through the stream machine, DELTA_CHARACTERS at a time."""
    parts = [text[start : start + DELTA_CHARACTERS] for start in range(0, len(text), DELTA_CHARACTERS)]

    def work() -> None:
        for _ in range(STREAMS):
            stream = FirewallStream(firewall, Placeholders())
            for part in parts:
                stream.feed(part)
            stream.finish()

    return us_per_4_kb(STREAMS, cpu_time(work, REPEATS), text)


def expressions(firewall: Firewall) -> list[tuple[str, int]]:
    """Every rule's expression with its place, as one by one they would be searched for."""
    listed = []
    for place, made in enumerate(firewall.rules):
        before = expression(made.before) if made.before else ""
        listed.append((f"{EDGE}{before}({expression(made.value)}){EDGE}", place))
    return listed


def python_us(firewall: Firewall, text: str) -> float:
    """The same matches and checks by `re`, one rule after the other."""
    compiled = [
        (re.compile(one.encode()), CHECKS[firewall.rules[place].rule.check])
        for one, place in expressions(firewall)
    ]
    data = encoded(text)

    def work() -> None:
        for _ in range(PEER_SCANS):
            for pattern, check in compiled:
                for found in pattern.finditer(data):
                    check(found[1])

    return us_per_4_kb(PEER_SCANS, cpu_time(work, 3), text)


def re2_us(firewall: Firewall, text: str) -> float:
    """The rules' finders in one RE2 set: it says which rules may match, not where; neither edges nor checks are looked at."""
    options = re2.Options()
    options.max_mem = RE2_BYTES
    together = re2.Set.SearchSet(options)
    for made in firewall.rules:
        together.Add(expression(made.finder).encode())
    together.Compile()
    data = encoded(text)

    def work() -> None:
        for _ in range(PEER_SCANS):
            together.Match(data)

    return us_per_4_kb(PEER_SCANS, cpu_time(work, 3), text)


def findings_in(firewall: Firewall, text: str) -> int:
    """How many findings there are; the benchmark is of a firewall that works."""
    searched = firewall.search((text,))
    if isinstance(searched, Refusal):
        raise TypeError(f"the firewall refused: {searched.name}")
    return len(searched[0])


def run() -> list[Result]:
    """Clean English, clean Chinese, English with hits: whole, beside `re` and RE2 with the same rules; and in pieces."""
    firewall = Firewall(firewall_rules(), b"a key of the benchmark only")
    count = len(firewall.rules)
    texts = [
        ("clean English", cut_to_size(ENGLISH)),
        ("clean Chinese", cut_to_size(CHINESE)),
        ("with hits", with_values(PLAIN)),
        ("disguised hits", with_values(DISGUISED)),
    ]
    by_re = f"Python's re, the same {count} expressions one by one, with the same checks"
    by_re2 = "RE2, the rules' finders in one set that says which may match and not where; no edges, no checks"
    left_out = "JSON, the network; building the firewall (once, about a second)"
    results = []
    for name, text in texts:
        hits = findings_in(firewall, text)
        mix = f"{count} rules over 4 kB, {name}: {hits} findings, masked; best of {REPEATS}"
        whole, pieces = scan_us(firewall, text), stream_us(firewall, text)
        results += [
            Result(
                f"firewall: {name}",
                whole,
                "us/4 kB",
                mix,
                left_out,
                python_us(firewall, text),
                by_re,
                at_most=GOAL_US,
            ),
            Result(
                f"firewall: {name}, beside RE2",
                whole,
                "us/4 kB",
                mix,
                left_out,
                re2_us(firewall, text),
                by_re2,
            ),
            Result(
                f"firewall: {name}, in pieces",
                pieces,
                "us/4 kB",
                f"{mix}; fed {DELTA_CHARACTERS} characters at a time, {pieces * DELTA_CHARACTERS / len(text):.1f} us each",
                left_out,
            ),
        ]
    return results
