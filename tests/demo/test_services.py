"""The demo's services as it asks them: what answers on their ports may be anything."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from demo.airflow_api import AirflowApi, ApiError
from demo.services import fetch, status

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ANSWERS = {
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "cut off": HEAD + b"Content-Length: 500\r\n\r\n{",
    "a page": HEAD + b"Content-Length: 6\r\n\r\n<html>",
    "nothing": b"",
}


@pytest.fixture(params=ANSWERS)
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where something listens that is none of the demo's services, and answers every request alike."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(ANSWERS[request.param])

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_what_is_none_of_the_services_counts_as_no_answer(address: str) -> None:
    assert fetch(address) == {}
    assert status(address) in (0, 200)
    with pytest.raises(ApiError, match="Airflow does not answer at"):
        AirflowApi(address, "admin", "password")
