"""The task of a stream that the server ends goes on as one that nobody cancelled."""

from __future__ import annotations

import asyncio

import pytest

from serving.errors import IdleError, StoppingError
from serving.streams import Streams


@pytest.mark.parametrize("ended_by", ["idle", "stop"])
def test_what_follows_an_ended_stream_can_time_out(ended_by: str) -> None:
    async def serve(streams: Streams) -> int:
        with pytest.raises(IdleError if ended_by == "idle" else StoppingError), streams.open():
            await asyncio.sleep(10.0)
        with pytest.raises(TimeoutError):  # a goodbye to a client that does not read it
            async with asyncio.timeout(0.01):
                await asyncio.sleep(10.0)
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    async def run() -> int:
        streams = Streams(idle_timeout_s=0.02 if ended_by == "idle" else 0.0)
        serving = asyncio.create_task(serve(streams))
        if ended_by == "stop":
            await asyncio.sleep(0)
            await streams.drain(0.0)
        return await serving

    assert asyncio.run(run()) == 0


def test_a_client_that_left_cancels_the_task() -> None:
    async def run() -> None:
        streams = Streams(idle_timeout_s=0.0)

        async def serve() -> None:
            with streams.open():
                await asyncio.sleep(10.0)

        serving = asyncio.create_task(serve())
        await asyncio.sleep(0)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        assert len(streams) == 0

    asyncio.run(run())
