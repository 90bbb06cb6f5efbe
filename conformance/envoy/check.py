"""Two workloads behind two Envoys with certificates of one authority; prints a line a check.

The sleep workload's Envoy takes plain HTTP and speaks mutual TLS to httpbin's Envoy, which answers.
"""

import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from authority import Authority
from proxy import Envoy, inbound, outbound

HTTPBIN = "spiffe://cluster.local/ns/httpbin/sa/httpbin"
SLEEP = "spiffe://cluster.local/ns/sleep/sa/sleep"
SOMEBODY_ELSE = "spiffe://cluster.local/ns/bank/sa/vault"
PATIENCE_SECS = 30


class Mesh:
    """The checks are methods and build on one another: the first that fails is the last."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.old = Authority("envoy_old")
        self.new = Authority("envoy_new")
        self.both = self.old.root + self.new.root
        self.port, self.other, self.upstream = free_ports(3)
        domain = {"san_type": "URI", "matcher": {"prefix": "spiffe://cluster.local/"}}
        self.httpbin = Envoy(self.folder / "httpbin", inbound(self.upstream), domain)
        self.sleep = Envoy(
            self.folder / "sleep", outbound(self.upstream, {self.port: HTTPBIN, self.other: SOMEBODY_ELSE})
        )
        self.httpbin_pair, self.sleep_pair = self.old.sign(HTTPBIN), self.old.sign(SLEEP)
        self.httpbin.give(self.httpbin_pair, self.old.root)
        self.sleep.give(self.sleep_pair, self.old.root)
        self.httpbin.start()
        self.sleep.start()

    def stop(self):
        self.httpbin.stop()
        self.sleep.stop()

    def mutual_tls_between_two_workloads(self):
        until(lambda: status(self.port), 200)

    def a_workload_reaches_another_directly(self):
        equal(self.reach(self.sleep_pair), "200")

    def without_a_client_certificate_nothing_answers(self):
        equal(self.reach(), "000")

    def plain_http_is_refused(self):
        equal(curl(f"http://127.0.0.1:{self.upstream}/"), "000")

    def a_server_with_another_identity_is_refused(self):
        equal(status(self.other), 503)

    def another_trust_domain_is_refused(self):
        equal(self.reach(self.old.sign("spiffe://elsewhere.example/ns/sleep/sa/sleep")), "000")

    def another_authority_is_refused(self):
        equal(self.reach(self.new.sign(SLEEP)), "000")

    def openssl_shows_the_chain_three_deep(self):
        bare = self.s_client()
        assert "self-signedcertificateincertificatechain" in bare, bare
        served = [part.split("-----END")[0].strip() for part in bare.split("-----BEGINCERTIFICATE-----")]
        for certificate in bodies(self.httpbin_pair[1]):
            assert certificate in served, f"not served: {certificate}"
        equal(bodies(self.httpbin_pair[1])[2], bodies(self.old.root)[0])
        roots = self.folder / "roots.pem"
        roots.write_text(self.old.root)
        shown = self.s_client("-CAfile", str(roots))
        issuer = "C=US,O=RedHatConsulting,OU=RH-FSI,CN=RHCustom"
        for depth in (f"depth=2{issuer}RootCA", f"depth=1{issuer}IntermediateCA", "depth=0C=US,O=RedHatConsulting,OU=RH-SPPRT"):
            assert depth in shown, f"{depth} is not in {shown}"
        assert "Verifyreturncode:0(ok)" in shown, shown

    def an_expired_certificate_is_refused_and_its_successor_taken(self):
        self.httpbin.give(self.old.sign(HTTPBIN, "5s"), self.old.root)
        until(lambda: status(self.port), 503)
        self.httpbin_pair = self.old.sign(HTTPBIN)
        self.httpbin.give(self.httpbin_pair, self.old.root)
        until(lambda: status(self.port), 200)

    def with_both_roots_old_and_new_workloads_are_taken(self):
        self.httpbin.give(self.httpbin_pair, self.both)
        self.sleep.give(self.sleep_pair, self.both)
        pair = self.new.sign(SLEEP)
        until(lambda: self.reach(pair), "200")
        until(lambda: status(self.port), 200)

    def an_old_workload_reaches_a_new_one(self):
        self.httpbin_pair = self.new.sign(HTTPBIN)
        self.httpbin.give(self.httpbin_pair, self.both)
        until(lambda: bodies(self.httpbin_pair[1])[0] in self.s_client(), True)
        until(lambda: status(self.port), 200)

    def after_the_old_root_is_dropped_only_new_ones_are_taken(self):
        old_pair, self.sleep_pair = self.sleep_pair, self.new.sign(SLEEP)
        self.sleep.give(self.sleep_pair, self.new.root)
        self.httpbin.give(self.httpbin_pair, self.new.root)
        until(lambda: self.reach(old_pair), "000")
        until(lambda: status(self.port), 200)

    def nobody_was_restarted(self):
        equal((self.httpbin.process.poll(), self.sleep.process.poll()), (None, None))

    def reach(self, pair=None):
        """Straight to httpbin's Envoy; the HTTP status, 000 where no answer came."""
        files = ["--key", *self.files(pair)[:1], "--cert", *self.files(pair)[1:]] if pair else []
        return curl(f"https://127.0.0.1:{self.upstream}/", *files)

    def s_client(self, *arguments):
        """What OpenSSL prints, without blanks: newer versions put none around the equals sign."""
        key, certificate = self.files(self.sleep_pair)
        done = subprocess.run(
            ["openssl", "s_client", "-showcerts", "-connect", f"127.0.0.1:{self.upstream}", "-key", key,
             "-cert", certificate, *arguments],
            input="", capture_output=True, text=True, timeout=60, check=False,
        )
        return (done.stdout + done.stderr).replace(" ", "")

    def files(self, pair):
        paths = [self.folder / "client.key", self.folder / "client.pem"]
        for path, text in zip(paths, pair):
            path.write_text(text)
        return list(map(str, paths))


CHECKS = [
    Mesh.mutual_tls_between_two_workloads,
    Mesh.a_workload_reaches_another_directly,
    Mesh.without_a_client_certificate_nothing_answers,
    Mesh.plain_http_is_refused,
    Mesh.a_server_with_another_identity_is_refused,
    Mesh.another_trust_domain_is_refused,
    Mesh.another_authority_is_refused,
    Mesh.openssl_shows_the_chain_three_deep,
    Mesh.an_expired_certificate_is_refused_and_its_successor_taken,
    Mesh.with_both_roots_old_and_new_workloads_are_taken,
    Mesh.an_old_workload_reaches_a_new_one,
    Mesh.after_the_old_root_is_dropped_only_new_ones_are_taken,
    Mesh.nobody_was_restarted,
]


def status(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def curl(url, *arguments):
    done = subprocess.run(
        ["curl", "--silent", "--insecure", "--output", "/dev/null", "--write-out", "%{http_code}", *arguments, url],
        capture_output=True, text=True, timeout=60, check=False,
    )
    return done.stdout


def until(get, wanted):
    deadline = time.monotonic() + PATIENCE_SECS
    while (got := get()) != wanted:
        if time.monotonic() > deadline:
            raise AssertionError(f"{got!r} stays, not {wanted!r}")
        time.sleep(0.2)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def bodies(pem):
    """What is between BEGIN and END of each certificate."""
    parts = pem.split("-----BEGIN CERTIFICATE-----")[1:]
    return [part.split("-----END")[0].strip() for part in parts]


def equal(got, wanted):
    assert got == wanted, f"{got!r} is not {wanted!r}"


def main():
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        mesh = Mesh(folder)
        try:
            for check in CHECKS:
                name = check.__name__.replace("_", " ")
                try:
                    check(mesh)
                    print(f"ok {name}")
                except Exception as error:  # pylint: disable=broad-except
                    failed = True
                    print(f"FAILED {name}: {error}".replace("\n", " ")[:1000])
                    break
        finally:
            mesh.stop()
            if failed:
                for envoy in (mesh.httpbin, mesh.sleep):
                    sys.stderr.write((envoy.folder / "log").read_text()[-4000:])
    sys.exit(failed)


main()
