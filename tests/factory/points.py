"""Serving points with round numbers, for tests that need arithmetic by hand."""

from dataclasses import replace

from ciyuan.factory.messages import Provenance, ServingPoint, Site

SHORT = ServingPoint(
    chip="chip_a",
    model="model_a",
    precision="fp4",
    tier="medium",
    input_tokens=1000,
    output_tokens=1000,
    output_tokens_per_s=100.0,
    tokens_per_s_per_user=50.0,
    ttft_ms=200.0,
    gpus_per_replica=4,
    it_watts_per_gpu=1000.0,
    software="engine 1",
    provenance=Provenance.MEASURED,
    source="made up",
    observed_on="2026-01-01",
)
"""10 GPU-seconds a request; 100 tokens/s in, 100 out; 521 standard tokens/s at the default vector; 1 kW."""
LONG = replace(SHORT, input_tokens=8000, output_tokens_per_s=50.0, tokens_per_s_per_user=45.0, ttft_ms=900.0,
               gpus_per_replica=8, software="engine 2", observed_on="2026-02-01")  # fmt: skip
"""20 GPU-seconds a request: with SHORT, 10/7000 per input token and 60/7000 per output token."""
SITE = Site(
    "here",
    "Here",
    "Owner",
    "ZONE",
    "chip_a",
    "fp4",
    "medium",
    power_mw_max=1.0,
    pue=1.25,
    capital_usd_per_gpu_hour=2.0,
)
