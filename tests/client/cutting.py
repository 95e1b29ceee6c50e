"""A proxy that cuts connections, to see who comes back."""

from __future__ import annotations

import contextlib
import socket
import threading
from urllib.parse import urlsplit


class CuttingProxy:
    """Passes connections on to a server; the first ``cuts`` answers end after ``after`` bytes."""

    def __init__(self, url: str, *, cuts: int, after: int) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname, parts.port)
        self._cuts, self._after = cuts, after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        while True:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            left = self._after if self._cuts > 0 else None
            self._cuts -= 1
            there = socket.create_connection(self._target)
            for pair in ((here, there, None), (there, here, left)):
                self._threads.append(threading.Thread(target=_copy, args=pair))
                self._threads[-1].start()


def _copy(source: socket.socket, target: socket.socket, left: int | None) -> None:
    try:
        while data := source.recv(4096):
            if left is not None:
                data, left = data[:left], left - len(data)
            target.sendall(data)
            if left is not None and left <= 0:
                break
    except OSError:
        pass
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
