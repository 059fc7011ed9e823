"""Who waits for the disk: a process that syncs what it is handed, answers, and ends with its parent."""

import asyncio
import errno
import os

import pytest

from ciyuan.basics.errors import InvariantBroken
from ciyuan.services.door.group_host import GroupHost
from ciyuan.services.door.syncer import Syncer
from ciyuan.services.store import Store
from tests.services.door.till import TERMS, Clock, hold, opened


def play(scene):
    async def run():
        answers: asyncio.Queue[int] = asyncio.Queue()
        syncer = Syncer()
        syncer.start(asyncio.get_running_loop(), answers.put_nowait)
        try:
            await scene(syncer, answers)
        finally:
            syncer.close()

    asyncio.run(run())


def test_it_syncs_one_file_after_another_and_answers_each_time(tmp_path):
    async def scene(syncer, answers):
        for segment in (1, 1, 2):
            descriptor = os.open(tmp_path / str(segment), os.O_CREAT | os.O_WRONLY, 0o600)
            os.write(descriptor, b"x")
            syncer.sync(segment, descriptor)
            assert await answers.get() == 0
            os.close(descriptor)

    play(scene)


def test_it_tells_what_the_disk_says(tmp_path):
    async def scene(syncer, answers):
        reader, writer = os.pipe()  # a pipe cannot be synced
        syncer.sync(1, writer)
        assert await answers.get() == errno.EINVAL
        os.close(reader)
        os.close(writer)

    play(scene)


def test_only_one_sync_is_under_way(tmp_path):
    async def scene(syncer, answers):
        descriptor = os.open(tmp_path / "f", os.O_CREAT | os.O_WRONLY, 0o600)
        syncer.sync(1, descriptor)
        with pytest.raises(InvariantBroken, match="another was under way"):
            syncer.sync(1, descriptor)
        assert await answers.get() == 0
        os.close(descriptor)

    play(scene)


def test_a_process_that_is_gone_is_an_error_and_ends_the_host(tmp_path):
    async def run():
        store = Store.create(tmp_path / "j", TERMS.digest())
        host = GroupHost(opened(10_000), store, Clock())
        host.start(asyncio.get_running_loop())
        assert isinstance(host._syncer, Syncer)
        host._syncer._process.kill()
        host._syncer._process.wait()
        told: list = []
        host.submit(hold(1), told.append)
        await host.drained()
        failure = host.failure
        await host.close()
        store.close()
        return failure

    assert "Broken pipe" in asyncio.run(run())
