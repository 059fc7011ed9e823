"""A file of suppliers becomes offers and a policy exactly, and every way in which it can be wrong is refused by name."""

import stat
import tomllib
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from ciyuan.basics.errors import InvariantBroken, Malformed
from ciyuan.basics.time import NS_PER_MINUTE, NS_PER_SECOND, ns_from_iso
from ciyuan.gateway.door_refusals import Protocol
from ciyuan.gateway.firewall_rules import Kind
from ciyuan.gateway.route import Router
from ciyuan.gateway.route_offers import Limits, Offer, Tier
from ciyuan.gateway.route_policy import RoutePolicy
from ciyuan.gateway.usage import Leg
from ciyuan.services.catalog import grades
from ciyuan.services.catalog_supplier_address import Reference, as_reference, looks_secret
from ciyuan.services.catalog_supplier_prices import seeded_prices
from ciyuan.services.catalog_suppliers import SupplierTimeouts, read_suppliers
from tests.gateway.firewalls import found, shipped
from tests.gateway.routes import wanted
from tests.sources import ROOT

EXAMPLE = ROOT / "examples" / "gateway" / "suppliers.toml"
NOW = ns_from_iso("2026-11-21T12:00:00Z")
SMALL = """
[supplier.near]
base_url = "http://127.0.0.1:8000/v1/"
dialect = "openai"

[[supplier.near.model]]
model = "small"
tier = "medium"
context_tokens = 1000
output_tokens_max = 500
price_source = "ours"
price_observed_on = 2026-11-21

[supplier.near.model.price]
input = "0.50"
output = "2"
"""


WHOLE = """
[supplier.far]
base_url = "https://api.example.com/v1"
anthropic_base_url = "https://api.example.com/anthropic/"
dialect = "openai"
key = "env:FAR_KEY"
region = "eu"
headers = ["X-Team: tokens", "x-account: file:/run/secrets/account"]

[supplier.far.timeouts]
connect_s = 0.5
first_token_s = 20
idle_s = 10
total_s = 300

[[supplier.far.model]]
model = "big"
upstream_model = "vendor/big"
tier = "medium"
grade = "KIMI26"
protocols = ["chat", "messages"]
context_tokens = 262144
output_tokens_max = 32768
image_tokens = 1200
weight = 3
cache_s = 300
cache_hit_percent = 75
limits = { concurrent = 8, requests_per_minute = 60, tokens_per_minute = 90000 }
price_source = "a contract"
price_observed_on = 2026-11-01

[supplier.far.model.price]
input = "1"
cached_input = "0.1"
cache_write = "1.25"
cache_write_long = "2"
output = "4"
reasoning = "5"
audio_input = "6"
audio_output = "7"
image_input = "1.5"
image_output = "8"
image = "0.002"
search = "0.01"
request = "0.0005"
batch_percent = 50

[[supplier.far.model.price.step]]
above_tokens = 128000
input = "2"
cached_input = "0.2"
cache_write = "2.5"
cache_write_long = "4"
output = "6"
reasoning = "7"
audio_input = "8"
audio_output = "9"
image_input = "2.5"
image_output = "10"

[[supplier.far.model]]
model = "vectors"
tier = "free"
protocols = ["embeddings"]
context_tokens = 8192
output_tokens_max = 0
price_confirmed = true
price_source = "free of charge"
price_observed_on = 2026-11-01
price = { input = "0", output = "0" }
service = { ttft_ms_p95_max = 900, availability_bp_min = 9900 }

[policy]
attempts_max = 4
retry_percent = 12.5
retries_per_s_min = 2
hedge_tiers = ["ultra", "premium"]
hedge_percent = 3
strict_tiers = ["ultra"]
failures_in_a_row = 6
failure_percent = 40
failure_volume = 30
backoff_s = 2.5
backoff_s_max = 100
half_life_s = 30
queue_wait_s = 7
processes = 2

[policy.queue]
any = 5
high = 9

[policy.exam]
window_s = 600
answers_min = 50
probation_percent = 4
probation_answers_min = 10

[policy.aliases]
"auto:cheapest" = ["b*"]

[policy.fallbacks]
big = ["auto:cheapest"]
"""


class Numbers:
    """A registry that gives numbers by name, and remembers what it was asked."""

    def __init__(self):
        self.suppliers, self.grades = {}, {}

    def supplier(self, name):
        return self.suppliers.setdefault(name, 10 + len(self.suppliers))

    def grade(self, model, tier):
        return self.grades.setdefault((model, tier), 20 + len(self.grades))


def read(path, numbers=None):
    numbers = numbers or Numbers()
    return read_suppliers(path, numbers.supplier, numbers.grade, NOW)


@pytest.fixture
def file(tmp_path: Path):
    def write(text):
        path = tmp_path / "suppliers.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_the_example_is_whole_and_routes():
    found = read(EXAMPLE)
    assert [supplier.name for supplier in found.suppliers] == [
        "local-vllm",
        "local-llama",
        "openai",
        "anthropic",
        "deepseek",
    ]
    router = Router(found.offers, found.policy)
    chosen = router.choose(wanted(model="auto:cheapest"), NOW)
    assert isinstance(chosen, Offer)
    assert (chosen.supplier_name, chosen.upstream_model) == ("local-llama", "qwen3-8b")
    chosen = router.choose(wanted(model="auto:cheapest", tier=Tier.MEDIUM), NOW)
    assert isinstance(chosen, Offer)
    assert (chosen.supplier_name, chosen.upstream_model) == ("local-vllm", "Qwen/Qwen3-8B")
    spoken = {offer.model: sorted(protocol.name for protocol in offer.dialects) for offer in found.offers.all}
    assert spoken["claude-sonnet-4-5"] == ["MESSAGES"]
    assert spoken["deepseek-flash"] == ["CHAT", "MESSAGES"]
    assert [
        line for line in found.seeds if "text-embedding-3-small: input 0.020000 USD per MTok" in line
    ] == list(found.seeds)
    assert all(found.sources[offer.number].source for offer in found.offers.all)


def test_the_example_shows_no_key_and_each_of_its_prices_is_dated():
    text = EXAMPLE.read_text(encoding="utf-8")
    assert not [one for one in found(shipped(), text) if one.kind is Kind.SECRET]
    for supplier in tomllib.loads(text)["supplier"].values():
        for model in supplier["model"]:
            assert model["price"] == "genai-prices" or (model["price_source"] and model["price_observed_on"])


def test_the_example_s_lists_are_the_package_s_where_they_say_so():
    found = {offer.model: offer.prices for offer in read(EXAMPLE).offers.all}
    for provider, model in (("openai", "gpt-5-mini"), ("anthropic", "claude-sonnet-4-5")):
        seed, _ = seeded_prices(provider, model, NOW, "here")
        assert seed.pico == found[model].pico
        assert [(step.above_tokens, step.prices.pico) for step in seed.steps] == [
            (step.above_tokens, step.prices.pico) for step in found[model].steps
        ]


def test_every_key_is_read(file):
    found = read(file(WHOLE))
    (supplier,) = found.suppliers
    assert (supplier.number, supplier.key, supplier.region) == (10, Reference("env", "FAR_KEY"), "eu")
    assert supplier.headers == (
        ("x-team", "tokens"),
        ("x-account", Reference("file", "/run/secrets/account")),
    )
    assert supplier.timeouts == SupplierTimeouts(
        NS_PER_SECOND // 2, *(seconds * NS_PER_SECOND for seconds in (20, 10, 300))
    )
    assert supplier.url_of(Protocol.CHAT) == "https://api.example.com/v1/chat/completions"
    assert supplier.url_of(Protocol.MESSAGES) == "https://api.example.com/anthropic/v1/messages"
    big, vectors = found.offers.all
    assert (big.number, big.model, big.upstream_model, big.tier) == (
        10 << 16 | 20,
        "big",
        "vendor/big",
        Tier.MEDIUM,
    )
    assert big.dialects == {Protocol.CHAT, Protocol.MESSAGES}
    assert (big.context_tokens, big.output_tokens_max, big.image_tokens, big.weight) == (
        262_144,
        32_768,
        1_200,
        3,
    )
    assert (big.limits, big.pool, big.cache_ns, big.hit_bp) == (
        Limits(8, 60, 90_000),
        0,
        5 * NS_PER_MINUTE,
        7_500,
    )
    grade = grades()["KIMI26"].grade
    assert (big.service, big.tokenizer) == (grade.service, grade.tokenizer)
    assert big.prices.pico == (10**6, 10**5, 1_250_000, 2 * 10**6, 4 * 10**6, 5 * 10**6, 6 * 10**6, 7 * 10**6,
                               1_500_000, 8 * 10**6, 2 * 10**9, 10**10, 5 * 10**8)  # fmt: skip
    (step,) = big.prices.steps
    assert (step.above_tokens, step.prices.pico[Leg.OUTPUT], step.prices.pico[Leg.SEARCHES]) == (
        128_000,
        6 * 10**6,
        10**10,
    )
    assert (big.prices.batch_hundredths, step.prices.batch_hundredths) == (50, 50)
    assert (vectors.pool, vectors.limits, vectors.prices.batch_hundredths) == (10, Limits(), 100)
    assert (vectors.service.ttft_ms_p95_max, vectors.service.availability_bp_min) == (900, 9_900)
    assert found.offers.of("auto:cheapest") == (big,)
    assert found.policy == RoutePolicy(
        attempts_max=4, retry_bp=1_250, retries_per_s_min=2, hedge_tiers=frozenset({Tier.ULTRA, Tier.PREMIUM}), hedge_bp=300,
        failures_in_a_row=6, failure_bp=4_000, failure_volume=30, backoff_ns=2_500_000_000, backoff_ns_max=100 * NS_PER_SECOND,
        half_life_ns=30 * NS_PER_SECOND, exam_window_ns=600 * NS_PER_SECOND, exam_answers_min=50, probation_bp=400,
        probation_answers_min=10, strict_tiers=frozenset({Tier.ULTRA}), fallbacks={"big": ("auto:cheapest",)},
        queue_places={Tier.ANY: 5, Tier.HIGH: 9}, queue_wait_ns=7 * NS_PER_SECOND, processes=2,
    )  # fmt: skip


def test_what_is_left_out_has_its_default(file):
    found = read(file(SMALL))
    (supplier,), (offer,) = found.suppliers, found.offers.all
    assert (supplier.key, supplier.headers, supplier.timeouts) == (None, (), SupplierTimeouts())
    assert (offer.upstream_model, offer.dialects, offer.weight, offer.tokenizer) == (
        "small",
        {Protocol.CHAT},
        1,
        "",
    )
    assert offer.service.output_tokens_per_s_p50_min == 40, "the tier's"
    assert found.policy == RoutePolicy()
    assert supplier.url_of(Protocol.CHAT) == "http://127.0.0.1:8000/v1/chat/completions"
    with pytest.raises(InvariantBroken, match="does not speak MESSAGES"):
        supplier.url_of(Protocol.MESSAGES)


def test_models_and_tiers_have_one_number_at_all_suppliers(file):
    numbers = Numbers()
    found = read(file(SMALL + SMALL.replace("near", "nearer")), numbers)
    assert [offer.grade for offer in found.offers.all] == [20, 20]
    assert numbers.grades == {("small", "medium"): 20}


def test_no_number_is_asked_for_before_the_file_is_good(file):
    numbers = Numbers()
    with pytest.raises(Malformed):
        read(file(SMALL + "[policy.fallbacks]\nsmall = ['none']"), numbers)
    assert (numbers.suppliers, numbers.grades) == ({}, {})


SECRETS = [
    "sk-proj-abcdefghijklmnop",
    "AKIA" + "ABCDEFGHIJKLMNOP",
    "Bearer abcdef",
    "env:sk-abcdefghijkl",
    "file:sk-abcdefghijkl",
    "secret",
    "",
    "env:",
]


@pytest.mark.parametrize("text", SECRETS)
def test_a_key_in_the_file_is_refused_and_not_repeated(file, text):
    path = file(SMALL.replace('dialect = "openai"', f'dialect = "openai"\nkey = "{text}"'))
    with pytest.raises(Malformed, match=r"suppliers.toml, \[supplier.near\], key: ") as caught:
        read(path)
    assert text in {"", "env:"} or text not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "authorization: abc",
        "X-Api-Key: abc",
        "x-any: sk-abcdefghijklmnop",
        "x-any: Bearer q",
        "x-any: 8f14e45fceea167a5a36dedd4bea2543",
    ],
)
def test_a_header_that_holds_a_key_is_refused_and_not_repeated(file, line):
    path = file(SMALL.replace('dialect = "openai"', f'dialect = "openai"\nheaders = ["{line}"]'))
    with pytest.raises(Malformed, match="looks like a secret") as caught:
        read(path)
    assert line.partition(": ")[2] not in str(caught.value).replace("x-api-key", "")


@pytest.mark.parametrize(
    "text", ["2023-06-01", "tokens", "my-team", "org platform and research", "eu-west-1"]
)
def test_what_is_no_secret_is_let_be(text):
    assert not looks_secret(text)


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('dialect = "openai"', 'dialect = "latin"', r"\[supplier.near\], dialect"),
        ('dialect = "openai"', 'dialect = "openai"\ncolour = "red"', r"\[supplier.near\], colour"),
        ('dialect = "openai"', 'dialect = "openai"\nplain_http = "yes"', r"\[supplier.near\], plain_http"),
        ('dialect = "openai"', 'dialect = "openai"\nheaders = ["no colon"]', r"\[supplier.near\], headers\[1\]"),
        ("http://127.0.0.1:8000/v1/", "ftp://127.0.0.1", r"\[supplier.near\], base_url"),
        ("http://127.0.0.1:8000/v1/", "https://host/v1?key=1", r"\[supplier.near\], base_url"),
        ("http://127.0.0.1:8000/v1/", "https://me:word@host/v1", r"\[supplier.near\], base_url"),
        ("http://127.0.0.1:8000/v1/", "https://host:99999/v1", r"\[supplier.near\], base_url"),
        ("http://127.0.0.1:8000/v1/", "https://[::1/v1", r"\[supplier.near\], base_url"),
        ("http://127.0.0.1:8000/v1/", "https://host/sk-abcdefghijklmnop/v1", r"\[supplier.near\], base_url"),
        ("[supplier.near]", "[supplier.Near]\n[supplier.near]", r"\[supplier.Near\]"),
        ('model = "small"', 'model = "small*"', "offer near small"),
        ('tier = "medium"', 'tier = "best"', r"\[\[supplier.near.model\]\] 1, tier"),
        ('tier = "medium"', 'tier = "any"', r"\[\[supplier.near.model\]\] 1, tier"),
        ('tier = "medium"', 'tier = "medium"\ngrade = "KIMI99"', r"\[\[supplier.near.model\]\] 1, grade"),
        ('tier = "medium"', 'tier = "high"\ngrade = "KIMI26"', r"\[\[supplier.near.model\]\] 1, tier"),
        ('tier = "medium"', 'tier = "medium"\ngrade = "KIMI26"', r"\[\[supplier.near.model\]\] 1, context_tokens"),
        ('tier = "medium"', 'tier = "medium"\nprotocols = ["messages"]', r"\[\[supplier.near.model\]\] 1, protocols"),
        ('tier = "medium"', 'tier = "medium"\nprotocols = []', r"\[\[supplier.near.model\]\] 1, protocols"),
        ('tier = "medium"', 'tier = "medium"\nprotocols = ["morse"]', r"\[\[supplier.near.model\]\] 1, protocols"),
        ('tier = "medium"', 'tier = "medium"\nweight = 0', r"\[\[supplier.near.model\]\] 1, weight"),
        ('tier = "medium"', 'tier = "medium"\ncache_hit_percent = 101', r"\[\[supplier.near.model\]\] 1, cache_hit_percent"),
        ('tier = "medium"', 'tier = "medium"\ncache_s = 0', r"\[\[supplier.near.model\]\] 1, cache_s"),
        ('tier = "medium"', 'tier = "medium"\nlimits = { concurrent = -1 }', r"model\]\] 1, limits, concurrent"),
        ("context_tokens = 1000", "context_tokens = 0", r"\[\[supplier.near.model\]\] 1, context_tokens"),
        ('price_source = "ours"\n', "", r"\[\[supplier.near.model\]\] 1, price_source"),
        ("price_observed_on = 2026-11-21", 'price_observed_on = "today"', r"\[\[supplier.near.model\]\] 1, price_observed_on"),
        ('output = "2"', "output = 2.0", r"\[\[supplier.near.model\]\] 1, price, output"),
        ('output = "2"\n', "", r"\[\[supplier.near.model\]\] 1, price, output"),
        ('output = "2"', 'output = "two"', r"\[\[supplier.near.model\]\] 1, price, output"),
        ('output = "2"', 'output = "2.0000001"', r"\[\[supplier.near.model\]\] 1, price, output"),
        ('output = "2"', 'output = "-2"', r"\[\[supplier.near.model\]\] 1, price, output"),
        ('[supplier.near.model.price]\ninput = "0.50"\noutput = "2"', 'price = "2"', r"\[\[supplier.near.model\]\] 1, price: "),
        ('output = "2"', 'output = "2"\noutptu = "2"', r"\[\[supplier.near.model\]\] 1, price, outptu"),
        ('output = "2"', 'output = "2"\nbatch_percent = 200', r"\[\[supplier.near.model\]\] 1, price, batch_percent"),
        ('output = "2"', 'output = "0.000002"', r"\[\[supplier.near.model\]\] 1, price"),
        ('output = "2"', 'output = "20000"', r"\[\[supplier.near.model\]\] 1, price: "),
        ('output = "2"', 'output = "2000000"', r"\[\[supplier.near.model\]\] 1, price, output"),
        ('output = "2"', 'output = "2"\nsearch = "1001"', r"\[\[supplier.near.model\]\] 1, price, search"),
        ('output = "2"', 'output = "2"\nstep = [{ above_tokens = 0, input = "1", output = "1" }]', "1, price, step"),
        ('input = "0.50"\noutput = "2"', 'input = "0"\noutput = "0"', r"\[\[supplier.near.model\]\] 1, price"),
        ('output = "2"', 'output = "2"\nstep = [{ above_tokens = 9, input = "1" }]', r"price, step\[0\], output"),
        ('output = "2"', 'output = "2"\nstep = [{ above_tokens = 9, input = "1", output = "0.000001" }]', "1, price"),
        ('output = "2"', 'output = "2"\n[policy]\nattempts = 3', r"\[policy\], attempts"),
        ('output = "2"', 'output = "2"\n[policy]\nattempts_max = 99', "policy of routing, attempts_max"),
        ('output = "2"', 'output = "2"\n[policy]\nbackoff_s = -1', r"\[policy\], backoff_s"),
        ('output = "2"', 'output = "2"\n[policy]\nhedge_tiers = ["fast"]', r"\[policy\], hedge_tiers"),
        ('output = "2"', 'output = "2"\n[policy]\nqueue = 3', r"\[policy.queue\]"),
        ('output = "2"', 'output = "2"\n[policy.queue]\nfast = 3', r"\[policy.queue\]"),
        ('output = "2"', 'output = "2"\n[policy.queue]\nhigh = "3"', r"\[policy.queue\], high"),
        ('output = "2"', 'output = "2"\n[policy.exam]\nhours = 3', r"\[policy\], exam, hours"),
        ('output = "2"', 'output = "2"\n[policy.aliases]\nsmall = ["small"]', "alias small"),
        ('output = "2"', 'output = "2"\n[policy.aliases]\ntiny = "small"', r"\[policy.aliases\], tiny"),
        ('output = "2"', 'output = "2"\n[policy.aliases]\ntiny = ["none"]', "alias tiny"),
        ('output = "2"', 'output = "2"\n[policy.fallbacks]\nsmall = ["none"]', r"\[policy.fallbacks\], small"),
        ('output = "2"', 'output = "2"\n[suppliers]\nx = 1', "suppliers.toml, suppliers"),
        ('input = "0.50"', 'input = "0.50', "suppliers' file suppliers.toml"),
        (SMALL, "", "suppliers.toml: found 'no supplier'"),
        (SMALL, "[supplier]\nnear = 3", r"\[supplier.near\]"),
        (SMALL, '[supplier.near]\nbase_url = "http://127.0.0.1"\ndialect = "openai"', r"\[supplier.near\]: found 'no model'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_by_its_place(file, old, new, place):
    assert old in SMALL
    path = file(SMALL.replace(old, new, 1))
    with pytest.raises(Malformed, match=place) as caught:
        read(path)
    assert caught.value.remedy


def test_a_model_twice_or_limits_in_two_places_are_refused(file):
    model = SMALL.partition("\n\n[[")[2]
    with pytest.raises(Malformed, match=r"\[supplier.near\]: found 'small in tier medium, twice'"):
        read(file(SMALL + "\n[[" + model))
    both = SMALL.replace('dialect = "openai"', 'dialect = "openai"\nlimits = { concurrent = 2 }')
    with pytest.raises(Malformed, match=r"model\]\] 1, limits"):
        read(file(both.replace('tier = "medium"', 'tier = "medium"\nlimits = { concurrent = 1 }')))


def test_a_price_that_is_meant_is_taken(file):
    text = SMALL.replace('tier = "medium"', 'tier = "medium"\nprice_confirmed = true')
    (offer,) = read(file(text.replace('output = "2"', 'output = "0.000002"'))).offers.all
    assert offer.prices.pico[Leg.OUTPUT] == 2


def test_a_key_goes_over_plain_http_to_this_machine_only(file):
    keyed = SMALL.replace('dialect = "openai"', 'dialect = "openai"\nkey = "env:KEY"')
    for near in ("127.0.0.1:8000", "localhost", "[::1]:9", "gpu.localhost"):
        assert read(file(keyed.replace("127.0.0.1:8000", near))).suppliers
    far = keyed.replace("127.0.0.1:8000", "gpu.example.com")
    with pytest.raises(Malformed, match=r"base_url: .*https, where a key goes"):
        read(file(far))
    assert read(file(far.replace("dialect", "plain_http = true\ndialect", 1))).suppliers
    assert read(file(SMALL.replace("127.0.0.1:8000", "gpu.example.com"))).suppliers, (
        "without a key nothing is given away"
    )


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(Malformed, match=r"suppliers' file none.toml"):
        read(tmp_path / "none.toml")


def test_secrets_are_where_the_reference_says(tmp_path):
    kept = tmp_path / "key"
    kept.write_text("  abc-123\n", encoding="utf-8")
    of_file, of_environ = as_reference(f"file:{kept}"), as_reference("env:FAR_KEY")
    assert of_file is not None
    assert of_file.secret({}) == "abc-123"
    assert of_environ is not None
    assert of_environ.secret({"FAR_KEY": " xyz "}) == "xyz"
    assert str(as_reference("env:FAR_KEY")) == "env:FAR_KEY"


@pytest.mark.parametrize("value", [None, "", "  ", "two\nlines", "clé"])
def test_a_key_that_is_none_is_refused_by_its_place_and_not_repeated(tmp_path, value):
    environ = {} if value is None else {"FAR_KEY": value}
    with pytest.raises(Malformed, match=r"^key env:FAR_KEY: ") as caught:
        Reference("env", "FAR_KEY").secret(environ)
    assert not (value or "").strip() or value not in str(caught.value)
    path = tmp_path / "key"
    if value is not None:
        path.write_text(value, encoding="utf-8")
        path.chmod(stat.S_IRUSR)
    with pytest.raises(Malformed, match=r"^key file:"):
        Reference("file", str(path)).secret({})


def seeded(file, provider, model):
    typed = 'price_source = "ours"\nprice_observed_on = 2026-11-21'
    seed = f'price = "genai-prices"\nprice_provider = "{provider}"\nprice_model = "{model}"'
    return read(file(SMALL.partition("[supplier.near.model.price]")[0].replace(typed, seed)))


def test_a_seed_is_the_package_s_price_in_force_and_told(file):
    found = seeded(file, "anthropic", "claude-opus-4-6")
    (offer,) = found.offers.all
    assert offer.prices.pico[: Leg.REASONING] == (5 * 10**6, 5 * 10**5, 6_250_000, 10**7, 25 * 10**6)
    assert offer.prices.steps == (), "the steps ended in March"
    assert offer.prices.pico[Leg.SEARCHES] == 10**10
    (line,) = found.seeds
    assert line.endswith("anthropic claude-opus-4-6: input 5.000000, cache_read 0.500000, cache_write_short 6.250000, "
                         "cache_write_long 10.000000, output 25.000000 USD per MTok")  # fmt: skip
    before, told = seeded_prices("anthropic", "claude-opus-4-6", ns_from_iso("2026-03-01T00:00:00Z"), "here")
    assert [(step.above_tokens, step.prices.pico[Leg.OUTPUT]) for step in before.steps] == [
        (200_000, 37_500_000)
    ]
    assert "other prices above 200,000 tokens" in told
    assert seeded_prices("openai", "gpt-5", NOW, "here")[1].endswith("left out: storage_searches_kcount")


@pytest.mark.parametrize(
    ("key", "words"),
    [("input_video_mtok", "legs for"), ("start", "no price in force")],
)
def test_a_seed_with_other_tokens_or_not_yet_in_force_is_refused(monkeypatch, key, words):
    from genai_prices.data import providers
    from genai_prices.types import ConditionalPrice, ModelPrice, StartDateConstraint

    model = next(
        one for entry in providers if entry.id == "openai" for one in entry.models if one.id == "gpt-5"
    )
    prices = ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(2), input_video_mtok=Decimal(3))
    later = [ConditionalPrice(prices=prices, constraint=StartDateConstraint(date(2030, 1, 1)))]
    monkeypatch.setattr(model, "prices", later if key == "start" else prices)
    with pytest.raises(Malformed, match=words):
        seeded_prices("openai", "gpt-5", NOW, "here")


@pytest.mark.parametrize(
    ("provider", "model", "words"),
    [
        ("deepseek", "deepseek-flash", "by the hour of the day"),
        ("openai", "gpt-0", "gpt-0"),
        ("nobody", "gpt-5", "nobody"),
    ],
)
def test_a_seed_that_is_no_price_is_refused(file, provider, model, words):
    with pytest.raises(Malformed, match=words):
        seeded(file, provider, model)
