"""A development server of one's own that speaks TLS and asks clients for certificates."""

import os
import pathlib
import socket
import subprocess
import tempfile
import time

import hvac
import requests

TOKEN = "root"


class TlsServer:
    """`program` is Signet's or the reference's; it keeps everything in memory."""

    def __init__(self, program):
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.scratch.name)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        self.url = f"https://{address}"
        self.ca = str(self.folder / "vault-ca.pem")
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                [
                    program,
                    "server",
                    "-dev-tls",
                    "-dev-no-store-token",
                    f"-dev-root-token-id={TOKEN}",
                    f"-dev-listen-address={address}",
                    f"-dev-tls-cert-dir={self.folder}",
                ],
                env={"HOME": self.scratch.name, "PATH": os.environ["PATH"]},
                stdout=log,
                stderr=log,
            )

    def __enter__(self):
        deadline = time.monotonic() + 60
        while True:
            try:
                requests.get(f"{self.url}/v1/sys/health", verify=self.ca, timeout=10).raise_for_status()
                return self
            except (OSError, requests.RequestException):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.__exit__()
                    raise RuntimeError((self.folder / "log").read_text()) from None
                time.sleep(0.05)

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def client(self, token="", files=None):
        """`files` are those of a certificate and its key."""
        made = hvac.Client(url=self.url, verify=self.ca, cert=files)
        made.token = token
        return made
