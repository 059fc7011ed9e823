"""An interrupt (Ctrl-C) that waits for a place where work can be left.

Python raises a KeyboardInterrupt wherever it stands: amid a write, which then has failed, or in a library that takes any
exception for its own and goes on as if nothing had been asked. Long work that writes holds it back and heeds it between steps.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Heed = Callable[[], None]
"""Raises KeyboardInterrupt if an interrupt has come. Call it where work can be left."""


@contextmanager
def interrupts_held() -> Iterator[Heed]:
    """Hold an interrupt back until it is heeded, at the latest where this ends; a second one is raised at once.

    Where interrupts are ignored, or outside the main thread, which alone may say what they do, nothing changes.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            signal.default_int_handler(number, frame)
        asked = True

    def heed() -> None:
        if asked:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, ask)
    try:
        yield heed
    finally:
        signal.signal(signal.SIGINT, before)
    heed()
