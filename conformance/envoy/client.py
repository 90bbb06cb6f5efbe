"""Clients without an Envoy of their own."""

import http.client
import socket
import ssl
import subprocess

from proxy import CALLER

LOCAL = "127.0.0.1"


class Client:
    """Holds a pair, or none, and takes whatever certificate the server shows."""

    def __init__(self, folder, port, pair=None):
        self.port, self.files = port, []
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE
        if pair:
            key, chain = folder / "client.key", folder / "client.pem"
            key.write_text(pair.key)
            chain.write_text(pair.chain)
            self.tls.load_cert_chain(chain, key)
            self.files = ["-key", str(key), "-cert", str(chain)]

    def answer(self):
        """The status, and whom the server takes the client for; 0 where no answer came."""
        connection = http.client.HTTPSConnection(LOCAL, self.port, context=self.tls, timeout=10)
        try:
            connection.request("GET", "/")
            answer = connection.getresponse()
            return answer.status, answer.getheader(CALLER)
        except (OSError, http.client.HTTPException):
            return 0, None
        finally:
            connection.close()

    def refusal(self):
        """What the server says of a client that only listens, and that client's port."""
        with socket.create_connection((LOCAL, self.port), timeout=10) as plain:
            port = plain.getsockname()[1]
            try:
                with self.tls.wrap_socket(plain) as stream:
                    return f"no refusal but {stream.recv(1)!r}", port
            except OSError as error:
                return str(error), port

    def s_client(self, *arguments):
        """What OpenSSL prints, without blanks: newer versions put none around the equals sign."""
        done = subprocess.run(
            ["openssl", "s_client", "-showcerts", "-connect", f"{LOCAL}:{self.port}", *self.files, *arguments],
            input="", capture_output=True, text=True, timeout=60, check=False,
        )
        return (done.stdout + done.stderr).replace(" ", "")


def plain(port):
    """Speaks plain HTTP; what comes back until the server closes, and the client's port."""
    with socket.create_connection((LOCAL, port), timeout=10) as stream:
        stream.sendall(b"GET / HTTP/1.1\r\nHost: httpbin\r\n\r\n")
        try:
            return stream.recv(1024), stream.getsockname()[1]
        except ConnectionResetError:
            return b"", stream.getsockname()[1]
