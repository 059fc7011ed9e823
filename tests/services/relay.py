"""A relay between a client and a PostgreSQL server that loses what it is told to lose: one message, at a place of one's choice.

with Relay(server.socket) as relay:
    url = server.url(database, relay.folder)       # through the relay
    relay.arm(2, Fault.ANSWER)                     # the answer to the third message from now on is lost
"""

import shutil
import socket
import tempfile
from contextlib import suppress
from enum import Enum
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from threading import Lock, Thread
from types import TracebackType
from typing import Self

CHUNK_BYTES = 2**20


class Fault(Enum):
    """The message is lost; or it arrives, and its answer is lost; or it arrives late, when the client has given it up."""

    REQUEST = 1
    ANSWER = 2
    STALLED = 3


class Relay:
    """Listens in `folder` as the server does in its own. `tripped`, `tripped_again`: whether what it was armed with happened.

    While `refusing`, new connections are shut at once. `deliver` sends on what was stalled; whether the server still took it.
    """

    def __init__(self, server: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ciyuan-relay-"))
        self.refusing = self.tripped = self.tripped_again = False
        self._server = server
        self._left: int | None = None
        self._again: int | None = None
        self._fault, self._refuse_then = Fault.REQUEST, False
        self._stalled: list[tuple[socket.socket, bytes]] = []
        self._lock = Lock()
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(self.folder / server.name))
        self._listening.listen()
        self._threads: list[Thread] = []
        self._lines: list[socket.socket] = []
        self._accepting = Thread(target=self._accept)
        self._accepting.start()

    def arm(
        self, messages: int, fault: Fault, *, refuse_then: bool = False, again: int | None = None
    ) -> None:
        """Let so many messages through, and lose the one after them; then, if told so, refuse to connect again.

        `again`: let so many more through then, on whatever connections, and lose the one after them in the same way.
        """
        with self._lock:
            self._left, self._again, self._fault = messages, again, fault
            self._refuse_then, self.tripped, self.tripped_again = refuse_then, False, False

    def disarm(self) -> None:
        """Lose nothing more, and let clients connect."""
        with self._lock:
            self._left, self._again, self.refusing = None, None, False

    def deliver(self) -> bool:
        """Send on what was stalled, and wait until the server has answered or hung up; whether it has answered."""
        answered = False
        for line, message in self._stalled:
            with suppress(OSError):
                line.sendall(message)
                while chunk := line.recv(CHUNK_BYTES):
                    # A ReadyForQuery message ends what the server has to say; an error that ends the connection has none.
                    answered = answered or chunk[-6:-1] == b"Z\0\0\0\5"
                    if answered:
                        break
            line.close()
        self._stalled.clear()
        return answered

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening, and end all connections."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        for line in self._lines:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        self._hang_up(*(line for line, _ in self._stalled))
        for thread in self._threads:
            thread.join()
        self._listening.close()
        shutil.rmtree(self.folder)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                if self.refusing:
                    client.close()
                    continue
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._server))
                self._lines += (client, server)
                self._threads.append(Thread(target=self._carry, args=(client, server)))
                self._threads[-1].start()

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        """Carry messages both ways until one side hangs up, or the fault happens."""
        stalled = False
        with DefaultSelector() as selector, suppress(OSError):
            for line in (client, server):
                selector.register(line, EVENT_READ)
            while True:
                for key, _ in selector.select():
                    message = (client if key.fileobj is client else server).recv(CHUNK_BYTES)
                    if not message:
                        return self._hang_up(client, server)
                    if key.fileobj is server:
                        client.sendall(message)
                    elif not self._is_due():
                        server.sendall(message)
                    else:
                        stalled = self._lose(server, message)
                        return self._hang_up(client, *([] if stalled else [server]))
        return self._hang_up(client, *([] if stalled else [server]))

    def _is_due(self) -> bool:
        with self._lock:
            if self._left is None:
                return False
            self._left -= 1
            if self._left >= 0:
                return False
            self.tripped, self.tripped_again = True, self.tripped
            self._left, self._again, self.refusing = self._again, None, self._refuse_then
            return True

    def _lose(self, server: socket.socket, message: bytes) -> bool:
        """Let the fault happen; whether the server's side stays open."""
        if self._fault is Fault.STALLED:
            self._stalled.append((server, message))
            return True
        if self._fault is Fault.ANSWER:
            server.sendall(message)
            server.recv(CHUNK_BYTES)
        return False

    @staticmethod
    def _hang_up(*lines: socket.socket) -> None:
        for line in lines:
            line.close()
