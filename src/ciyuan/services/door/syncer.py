"""Waiting for the disk in a process of its own: the event loop asks, and is told by a socket, as by any other peer.

A thread that waits for the disk takes the interpreter's lock before and after each wait, in the midst of whatever the loop is
doing: at a thousand syncs a second that costs more than the syncs. A process takes nothing. It has the journal's file handed
over (once for each segment), syncs it when asked, and answers with the error number, 0 if there is none. It ends when its parent
does.

    syncer.start(loop, told)            # told(0): all that was written before `sync` is on the disk; else the error's number
    syncer.sync(segment, descriptor)    # one at a time
"""

import asyncio
import errno
import socket
import subprocess
import sys
from collections.abc import Callable

from ciyuan.basics.errors import InvariantBroken

ANSWER_BYTES = 4
_PROGRAM = """
import os, signal, socket, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
asked = socket.socket(fileno=int(sys.argv[1]))
file = -1
while True:
    message, files, _, _ = socket.recv_fds(asked, 1, 1)
    if not message:
        break
    if files:
        if file >= 0:
            os.close(file)
        file = files[0]
    try:
        os.fdatasync(file)
        code = 0
    except OSError as fault:
        code = fault.errno
    try:
        asked.send(code.to_bytes(4, "little"))
    except OSError:
        break
"""
"""What the process does. It ignores the signals that end a gateway, which needs it to the last."""


class Syncer:
    """The process, and the socket to it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        number = theirs.fileno()
        self._process = subprocess.Popen(  # noqa: S603 our own program, with our own interpreter
            [sys.executable, "-I", "-S", "-c", _PROGRAM, str(number)],
            pass_fds=(number,),
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        self._socket.setblocking(False)
        self._segment = -1
        self._asked = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told: Callable[[int], None] | None = None

    def start(self, loop: asyncio.AbstractEventLoop, told: Callable[[int], None]) -> None:
        """Tell answers on this loop."""
        self._loop, self._told = loop, told
        loop.add_reader(self._socket.fileno(), self._on_answer)

    def sync(self, segment: int, descriptor: int) -> None:
        """Ask for a sync of the file that is open as `descriptor`; `segment` tells one file from the next of the same number."""
        if self._asked:
            raise InvariantBroken("syncer", "a sync was asked for while another was under way")
        self._asked = True
        if segment != self._segment:
            self._segment = segment
            socket.send_fds(self._socket, [b"s"], [descriptor])
        else:
            self._socket.send(b"s")

    def close(self) -> None:
        """End the process."""
        if self._loop is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._loop = None
        self._socket.close()
        self._process.wait()

    def _on_answer(self) -> None:
        try:
            answer = self._socket.recv(ANSWER_BYTES)
        except BlockingIOError:
            return
        except OSError:
            answer = b""
        self._asked = False
        if self._told is not None:
            self._told(int.from_bytes(answer, "little") if answer else errno.EPIPE)
        if not answer and self._loop is not None:  # the process is gone: nothing more will come
            self._loop.remove_reader(self._socket.fileno())
