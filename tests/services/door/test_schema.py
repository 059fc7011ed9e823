"""The OpenAPI document against the running gateway: whatever a client sends, the answer is in the document and never a 500."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ciyuan.services.door.openapi import openapi_document
from tests.services.door.served import Mocks, Served, company, suppliers_file

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
DOCUMENT = schemathesis.openapi.from_dict(openapi_document())


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gateway")
    store, mocks = str(folder / "store"), Mocks()
    secret = company(store, "100.00")
    with Served(store, suppliers_file(folder, mocks, ["m"])) as served:
        served.secret = secret
        yield served
        assert served.stop() == 0
    mocks.close()


@DOCUMENT.parametrize()
@settings(max_examples=60, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
          suppress_health_check=list(HealthCheck))  # fmt: skip
def test_no_request_makes_the_gateway_fail(case, gateway):
    if isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
        case.body["model"] = "m"  # what comes behind the lookup of the model is wanted too
    case.headers = {**(case.headers or {}), "authorization": f"Bearer {gateway.secret}"}
    answer = case.call_and_validate(base_url=gateway.url, checks=CHECKS)
    assert answer.status_code != 500
