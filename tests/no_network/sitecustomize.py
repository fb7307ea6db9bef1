"""Put on PYTHONPATH by the tests: any attempt to reach another machine fails and is written down."""

import os
import socket
from pathlib import Path

LOCAL = ("localhost", "127.0.0.1", "::1", "0.0.0.0", "::", "", None, socket.gethostname())
_connect, _getaddrinfo = socket.socket.connect, socket.getaddrinfo


def refuse(host):
    if host in LOCAL:
        return
    log = os.environ.get("BLS_BENCH_NETWORK_LOG")
    if log:
        with Path(log).open("a") as file:
            file.write(f"{host}\n")
    raise OSError(f"tests must not reach the network, {host} was tried")


def connect(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6):
        refuse(address[0])
    return _connect(self, address)


def getaddrinfo(host, *args, **kwargs):
    refuse(host.decode() if isinstance(host, bytes) else host)
    return _getaddrinfo(host, *args, **kwargs)


socket.socket.connect, socket.getaddrinfo = connect, getaddrinfo
