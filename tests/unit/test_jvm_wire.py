"""Our connection to a driver's JVM, against a server that speaks py4j's protocol, or fails to."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from memprobe_probes.jvm_answers import answer, argument, escaped, request, unescaped
from memprobe_probes.jvm_wire import Foreign, Gateway, Handle, JvmError, JvmGone, Long

TOKEN = "secret"


class Server:
    """A gateway server of one connection at a time, whose answers are a function of the request."""

    def __init__(self, answered: Callable[[list[str]], str | None]) -> None:
        self._answered = answered
        self.requests: list[list[str]] = []
        self.connections = 0
        self.released: list[str] = []
        self.gate = threading.Event()  # while it is clear, nothing is answered
        self.gate.set()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.gate.set()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            with connection, connection.makefile("rb") as lines, suppress(OSError):
                self._talk(connection, lines)

    def _talk(self, connection: socket.socket, lines: object) -> None:
        read = lines.readline  # type: ignore[attr-defined]
        if [read(), read()] != [b"A\n", f"{TOKEN}\n".encode()]:
            connection.sendall(b"!xsAuthentication error\n")
            return
        connection.sendall(b"!yv\n")
        parts: list[str] = []
        while line := read():
            text = line.decode()[:-1]
            if text != "e":
                parts.append(text)
                continue
            self.requests.append(parts)
            if parts[:2] == ["m", "d"]:
                self.released.append(parts[2])
            said = "!yv" if parts[0] == "m" else self._answered(parts)
            parts = []
            self.gate.wait()
            if said is None:
                return
            connection.sendall(f"{said}\n".encode())


def answers(parts: list[str]) -> str | None:
    """Answer what the tests below ask."""
    method = parts[2]
    if method == "object":
        return f"!yro{len(parts)}7"
    if method == "getClass":
        return "!yro99"
    if method == "getName":
        return "!ysjava.lang.Bad"
    if method == "throw":
        return "!xro13"
    if method == "complain":
        return "!xspy4j.Py4JException: Method secret([]) does not exist\\n\\tat"
    if method == "hangup":
        return None
    if method == "flood":
        return "!ys" + "x" * (5 << 20)
    if method == "rubbish":
        return "HTTP/1.1 200 OK"
    return "!ys" + ";".join(parts[3:])


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(answers)
    yield made
    made.close()


@pytest.fixture
def gateway(server: Server) -> Iterator[Gateway]:
    made = Gateway("127.0.0.1", server.port, TOKEN, timeout=5.0)
    yield made
    server.gate.set()
    made.close()


def test_texts_travel_on_one_line_and_arrive_as_they_were() -> None:
    for text in ("", "a\nb", "a\\nb", "\\", "\\\\\r\n", "näh"):
        assert "\n" not in escaped(text)
        assert unescaped(escaped(text)) == text


def test_arguments_and_answers_by_type() -> None:
    assert argument(None) == "n\n"
    assert argument(True) == "btrue\n"
    assert argument(5) == "i5\n"
    assert argument(2**40) == f"L{2**40}\n"
    assert argument(Long(5)) == "L5\n"
    assert argument(float("inf")) == "dInfinity\n"
    assert argument("a\nb") == "sa\\nb\n"
    assert argument(Handle("o1")) == argument(Foreign("o1")) == "ro1\n"
    with pytest.raises(TypeError):
        argument([1])
    assert request("java.lang.System", "f", (1,)) == "c\nz:java.lang.System\nf\ni1\ne\n"
    assert answer("!yv") is None
    assert answer("!yn") is None
    assert answer("!ybtrue") is True
    assert answer("!yi7") == 7
    assert answer("!yL-7") == -7
    assert answer("!yd1.5") == 1.5
    assert answer("!ysa\\nb") == "a\nb"
    array = answer("!yto7")
    assert (array.id, array.kind) == ("o7", "t")
    with pytest.raises(ValueError, match="no answer"):
        answer("hello")
    with pytest.raises(ValueError, match="no id"):
        Foreign("o1\ne\nm\nd\no2")


def test_what_was_thrown_has_its_class_and_no_message(gateway: Gateway) -> None:
    with gateway.scope(), pytest.raises(JvmError) as thrown:
        gateway.static("x", "throw")
    assert thrown.value.java_class == "java.lang.Bad"
    with pytest.raises(JvmError) as thrown:
        gateway.static("x", "complain")
    assert str(thrown.value) == "py4j.Py4JException"


def test_a_scope_releases_what_was_obtained_in_it_and_nothing_else(
    gateway: Gateway, server: Server
) -> None:
    with gateway.scope():
        kept = gateway.keep(gateway.call(Foreign("o1"), "object"))
        with gateway.scope():
            gateway.call(Foreign("o1"), "object", 5)
        assert server.released == ["o47"]
        gateway.call(Foreign("o1"), "echo", kept)
    assert server.released == ["o47"]
    gateway.release(kept)
    assert server.released == ["o47", "o37"]
    with gateway.scope(), pytest.raises(JvmError):
        gateway.static("x", "throw")
    gateway.static("x", "echo")
    assert set(server.released) == {"o47", "o37", "o13", "o99"}


def test_many_calls_come_back_in_order_and_an_error_is_an_answer(gateway: Gateway) -> None:
    wanted = [("x", "echo", number) for number in range(200)] + [("x", "complain")]
    found = gateway.calls(wanted)
    assert found[:200] == [f"i{number}" for number in range(200)]
    assert type(found[200]) is JvmError


def test_a_jvm_that_does_not_answer_fails_in_time_and_is_asked_again_later(
    server: Server,
) -> None:
    gateway = Gateway("127.0.0.1", server.port, TOKEN, timeout=0.2)
    assert gateway.static("x", "echo", 1) == "i1"
    server.gate.clear()
    began = time.monotonic()
    with gateway.scope(), pytest.raises(JvmGone):
        gateway.call(Foreign("o1"), "object")
    assert time.monotonic() - began < 1.0
    began = time.monotonic()
    with pytest.raises(JvmGone):  # at once: nobody waits again and again
        gateway.static("x", "echo", 2)
    assert time.monotonic() - began < 0.1
    server.gate.set()
    while time.monotonic() < gateway.ready_at:
        time.sleep(0.01)
    assert gateway.static("x", "echo", 3) == "i3"
    # The late answer was no answer to this, and what it had for us was released.
    assert server.released == ["o37"]
    assert server.connections == 1
    gateway.close()


def test_a_thread_of_the_program_waits_no_longer_than_its_scope_says(server: Server) -> None:
    gateway = Gateway("127.0.0.1", server.port, TOKEN, timeout=30.0)
    gateway.static("x", "echo")
    server.gate.clear()
    began = time.monotonic()
    with pytest.raises(JvmGone), gateway.scope(timeout=0.1):
        gateway.static("x", "echo")
    assert time.monotonic() - began < 1.0
    server.gate.set()
    gateway.close()


def test_a_closed_connection_is_made_again(gateway: Gateway, server: Server) -> None:
    with pytest.raises(JvmGone):
        gateway.static("x", "hangup")
    while time.monotonic() < gateway.ready_at:
        time.sleep(0.01)
    assert gateway.static("x", "echo", "again") == "sagain"
    assert server.connections == 2


@pytest.mark.parametrize("method", ["flood", "rubbish"])
def test_answers_that_are_none_or_too_long_end_the_connection(
    gateway: Gateway, method: str
) -> None:
    with pytest.raises(JvmGone):
        gateway.static("x", method)
    assert gateway._socket is None


def test_a_wrong_token_and_a_closed_port_are_refused_at_once(server: Server) -> None:
    for port, token in ((server.port, "wrong"), (1, TOKEN)):
        gateway = Gateway("127.0.0.1", port, token, timeout=5.0)
        with pytest.raises(JvmGone):
            gateway.static("x", "echo")
        gateway.close()


def test_close_ends_a_call_that_hangs_in_another_thread(server: Server) -> None:
    gateway = Gateway("127.0.0.1", server.port, TOKEN, timeout=60.0)
    gateway.static("x", "echo")
    server.gate.clear()
    failed: list[str] = []

    def hang() -> None:
        try:
            gateway.static("x", "echo")
        except JvmGone as error:
            failed.append(str(error))

    thread = threading.Thread(target=hang)
    thread.start()
    while len(server.requests) < 2:
        time.sleep(0.01)
    gateway.close()
    thread.join(10)
    assert failed == ["closed"]


def test_a_descriptor_that_the_program_reused_is_neither_written_nor_closed(
    gateway: Gateway, tmp_path: object
) -> None:
    gateway.static("x", "echo")
    number = gateway._socket.fileno()
    os.close(number)
    mine = os.open(f"{tmp_path}/mine", os.O_RDWR | os.O_CREAT)
    os.dup2(mine, number)
    try:
        assert gateway.static("x", "echo", 5) == "i5"
        gateway.close()
        assert os.fstat(number).st_size == 0
    finally:
        os.close(number)
        os.close(mine)


def test_a_forked_child_closes_the_descriptor_and_the_parent_goes_on(gateway: Gateway) -> None:
    gateway.static("x", "echo")
    number = gateway._socket.fileno()
    child = os.fork()
    if child == 0:
        gateway.abandon()
        try:
            os.fstat(number)
        except OSError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert gateway.static("x", "echo", 7) == "i7"
