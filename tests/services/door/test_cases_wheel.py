"""What is published is what was tested: the wheel has every file of the package, and works without the source tree (case 30)."""

import os
import subprocess
import sys
import zipfile

import openai
import pytest

from tests.services.door.served import Mocks, Served, company, suppliers_file
from tests.sources import ROOT, tracked_files

PACKAGE = ROOT / "src" / "ciyuan"
RUN = "import sys; from ciyuan.services.cli import main; sys.argv[0] = 'ciyuan'; main()"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel's files, unpacked as an installer does."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("ciyuan-*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def test_the_wheel_has_every_file_of_the_package(wheel):
    """Case 30: a file of facts that is left behind fails on the user's machine only."""
    wanted = {path.relative_to(PACKAGE) for path in tracked_files() if path.is_relative_to(PACKAGE)}
    there = {path.relative_to(wheel / "ciyuan") for path in (wheel / "ciyuan").rglob("*") if path.is_file()}
    assert len(wanted) > 200
    assert wanted <= there


def test_what_was_unpacked_checks_the_example_by_itself(wheel, tmp_path):
    """Case 30: from another folder, with the locked dependencies and nothing of the source tree."""
    command = [
        sys.executable,
        "-c",
        RUN,
        "supplier",
        "check",
        str(ROOT / "examples" / "gateway" / "tiny.toml"),
    ]
    environ = {**os.environ, "PYTHONPATH": str(wheel), "CIYUAN_STORE": str(tmp_path / "none")}
    done = subprocess.run(command, cwd=tmp_path, env=environ, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "tiny" in done.stdout
    where = [sys.executable, "-c", "import ciyuan; print(ciyuan.__file__)"]
    said = subprocess.run(where, cwd=tmp_path, env=environ, check=True, capture_output=True, text=True).stdout
    assert said.strip() == str(wheel / "ciyuan" / "__init__.py")


@pytest.mark.soak
def test_what_was_unpacked_streams(wheel, tmp_path, monkeypatch):
    """Case 30: a gateway of the unpacked wheel, the vendor's own SDK, a stream. It compiles its kernels first: minutes."""
    monkeypatch.setenv("PYTHONPATH", str(wheel))
    store, mocks = str(tmp_path / "store"), Mocks()
    secret = company(store, "1.00")
    with Served(store, suppliers_file(tmp_path, mocks, ["m"])) as gateway:
        with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=secret, max_retries=0) as client:
            stream = client.completions.create(model="m", prompt="count", max_tokens=8, stream=True)
            text = "".join(chunk.choices[0].text for chunk in stream if chunk.choices)
        assert gateway.stop() == 0
    mocks.close()
    assert text == "one two three four five six seven eight "
