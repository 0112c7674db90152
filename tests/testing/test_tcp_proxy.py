"""The bad network for tests: what each fault does to both sides, and that `resume` ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from turnlane.testing.tcp_proxy import Directions, TcpProxy

pytestmark = pytest.mark.anyio

PATIENCE = 10.0
A_MOMENT = 0.1
"""Long enough for a byte to arrive that is not held back."""


class Echo:
    """Gives every line back; keeps what it got and how each connection ended."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.ends: asyncio.Queue[str] = asyncio.Queue()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                self.got.append(line)
                writer.write(line)
                await writer.drain()
            self.ends.put_nowait("end")
        except ConnectionError:
            self.ends.put_nowait("reset")
        finally:
            writer.close()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, port: int) -> Client:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def say(self, line: bytes, *, patience: float = PATIENCE) -> bytes:
        self.writer.write(line)
        return await self.hear(patience=patience)

    async def hear(self, *, patience: float = PATIENCE) -> bytes:
        return await asyncio.wait_for(self.reader.readline(), patience)


@pytest.fixture
async def echo() -> AsyncIterator[tuple[Echo, int]]:
    echo = Echo()
    async with await asyncio.start_server(echo.serve, "127.0.0.1", 0) as server:
        yield echo, server.sockets[0].getsockname()[1]


@pytest.fixture
async def proxy(echo: tuple[Echo, int]) -> AsyncIterator[TcpProxy]:
    with TcpProxy(("127.0.0.1", echo[1])) as proxy:
        yield proxy


async def test_bytes_go_both_ways_on_many_connections(proxy: TcpProxy) -> None:
    clients = [await Client.to(proxy.port) for _ in range(50)]
    said = [b"%d\n" % number for number in range(50)]
    assert await asyncio.gather(*(client.say(line) for client, line in zip(clients, said, strict=True))) == said
    assert proxy.connections == 50


async def test_much_at_once_arrives_whole(proxy: TcpProxy) -> None:
    client = await Client.to(proxy.port)
    lines = [b"%d" % number + b"x" * 1000 + b"\n" for number in range(5000)]
    client.writer.writelines(lines)
    assert [await client.hear() for _ in lines] == lines


async def test_an_end_is_handed_on(proxy: TcpProxy, echo: tuple[Echo, int]) -> None:
    client = await Client.to(proxy.port)
    await client.say(b"a\n")
    client.writer.write_eof()
    assert await asyncio.wait_for(echo[0].ends.get(), PATIENCE) == "end"
    assert await client.hear() == b""


async def test_a_cut_resets_both_sides_and_new_connections_work(proxy: TcpProxy, echo: tuple[Echo, int]) -> None:
    client = await Client.to(proxy.port)
    await client.say(b"a\n")
    assert proxy.cut() == 1
    with pytest.raises(ConnectionResetError):
        await client.hear()
    assert await asyncio.wait_for(echo[0].ends.get(), PATIENCE) == "reset"
    assert await (await Client.to(proxy.port)).say(b"b\n") == b"b\n"


async def test_refused_until_resumed(proxy: TcpProxy) -> None:
    client = await Client.to(proxy.port)
    await client.say(b"a\n")
    assert proxy.refuse() == 1
    with pytest.raises(ConnectionResetError):
        await client.hear()
    with pytest.raises(ConnectionRefusedError):
        await Client.to(proxy.port)
    proxy.resume()
    assert await (await Client.to(proxy.port)).say(b"b\n") == b"b\n"


@pytest.mark.parametrize(("way", "reached"), [("to_server", []), ("to_client", [b"a\n"]), ("both", [])])
async def test_silence_holds_one_direction_until_resumed(
    proxy: TcpProxy, echo: tuple[Echo, int], way: Directions, reached: list[bytes]
) -> None:
    client = await Client.to(proxy.port)
    await client.say(b"0\n")
    proxy.silence(way)
    with pytest.raises(TimeoutError):
        await client.say(b"a\n", patience=A_MOMENT)
    assert echo[0].got == [b"0\n", *reached]
    proxy.resume()
    assert await client.hear() == b"a\n"


async def test_in_silence_nobody_hears_that_the_other_hung_up(proxy: TcpProxy, echo: tuple[Echo, int]) -> None:
    client = await Client.to(proxy.port)
    await client.say(b"a\n")
    proxy.silence()
    client.writer.transport.abort()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(echo[0].ends.get(), A_MOMENT)
    proxy.resume()
    assert await asyncio.wait_for(echo[0].ends.get(), PATIENCE) in ("end", "reset")


async def test_a_new_connection_in_silence_is_taken_and_silent(proxy: TcpProxy) -> None:
    proxy.silence()
    client = await Client.to(proxy.port)
    with pytest.raises(TimeoutError):
        await client.say(b"a\n", patience=A_MOMENT)
    proxy.resume()
    assert await client.hear() == b"a\n"


async def test_an_answer_lost_on_its_way_was_acted_upon(proxy: TcpProxy, echo: tuple[Echo, int]) -> None:
    client = await Client.to(proxy.port)
    await client.say(b"0\n")
    proxy.silence("to_client")
    with pytest.raises(TimeoutError):
        await client.say(b"a\n", patience=A_MOMENT)
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        await client.hear()
    assert echo[0].got == [b"0\n", b"a\n"]


async def test_delay_adds_to_each_direction_and_keeps_the_order(proxy: TcpProxy) -> None:
    client = await Client.to(proxy.port)
    await client.say(b"0\n")
    proxy.delay(0.05)
    begun = asyncio.get_running_loop().time()
    client.writer.writelines([b"a\n", b"b\n"])
    assert [await client.hear(), await client.hear()] == [b"a\n", b"b\n"]
    assert asyncio.get_running_loop().time() - begun >= 0.1


async def test_a_server_that_is_away_cuts_the_client(proxy: TcpProxy) -> None:
    proxy.target = ("127.0.0.1", 9)
    client = await Client.to(proxy.port)
    assert await client.reader.read() == b""


async def test_new_connections_go_to_a_changed_target(proxy: TcpProxy) -> None:
    other = Echo()
    async with await asyncio.start_server(other.serve, "127.0.0.1", 0) as server:
        proxy.target = server.sockets[0].getsockname()[:2]
        await (await Client.to(proxy.port)).say(b"a\n")
        assert other.got == [b"a\n"]
        proxy.cut()


async def test_closed_it_takes_nobody(proxy: TcpProxy) -> None:
    proxy.close()
    proxy.close()
    with pytest.raises(ConnectionRefusedError):
        await Client.to(proxy.port)
