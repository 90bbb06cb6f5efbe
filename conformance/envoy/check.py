"""Two workloads behind two Envoys, with certificates over HTTP and over gRPC; prints a line a check.

The sleep workload's Envoy takes plain HTTP and speaks mutual TLS to httpbin's Envoy, which answers.
"""

import os
import pathlib
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request

from authority import OverHttp, Pair, Vault
from client import Client, plain
from proxy import CALLER, Envoy, inbound, outbound
from service import OverGrpc
from traffic import Traffic

HTTPBIN = "spiffe://cluster.local/ns/httpbin/sa/httpbin"
SLEEP = "spiffe://cluster.local/ns/sleep/sa/sleep"
SOMEBODY_ELSE = "spiffe://cluster.local/ns/bank/sa/vault"
ELSEWHERE = "spiffe://elsewhere.example/ns/sleep/sa/sleep"
PATIENCE_SECS = 30
# What proxies say of a certificate that they do not take.
EXPIRED = "certificate_has_expired"
OTHER_NAME = "SAN_matcher"
UNKNOWN_AUTHORITY = "self_signed_certificate_in_certificate_chain"


class Mesh:
    """The checks are methods and build on one another: the first that fails is the last."""

    def __init__(self, folder, way, stranger):
        self.folder, self.way, self.authority, self.stranger = folder, way, way.authority, stranger
        self.port, self.other, self.upstream = free_ports(3)
        domain = {"san_type": "URI", "matcher": {"prefix": "spiffe://cluster.local/"}}
        self.httpbin = Envoy(folder / "httpbin", inbound(self.upstream), domain)
        self.sleep = Envoy(folder / "sleep", outbound(self.upstream, {self.port: HTTPBIN, self.other: SOMEBODY_ELSE}))
        self.first_root = next(iter(self.authority.roots))
        self.renew_both()
        self.httpbin.start()
        self.sleep.start()

    def stop(self):
        self.httpbin.stop()
        self.sleep.stop()

    def renew_both(self):
        self.httpbin_pair, self.sleep_pair = self.way.sign(HTTPBIN), self.way.sign(SLEEP)
        self.httpbin.give(self.httpbin_pair)
        self.sleep.give(self.sleep_pair)

    def mutual_tls_between_two_workloads(self):
        until(lambda: ask(self.port)[:2], (200, self.sleep_pair.caller(SLEEP)))

    def a_workload_reaches_another_directly(self):
        self.is_taken(self.sleep_pair)

    def without_a_client_certificate_nothing_answers(self):
        self.is_refused(None, "PEER_DID_NOT_RETURN_A_CERTIFICATE", "alert certificate required")

    def plain_http_is_refused(self):
        answer, client_port = plain(self.upstream)
        equal(answer, b"")
        self.was_refused(client_port, "HTTP_REQUEST")

    def a_server_with_another_identity_is_refused(self):
        status, _, text = ask(self.other)
        equal(status, 503)
        contains(text, OTHER_NAME)

    def another_trust_domain_is_refused(self):
        # The certificate service issues none of another domain: this one is from the same issuer all the same.
        foreign = of_another_domain(self.authority)
        self.is_refused(foreign, OTHER_NAME, "alert certificate unknown")

    def another_authority_is_refused(self):
        self.is_refused(self.stranger.sign(SLEEP), UNKNOWN_AUTHORITY, "alert unknown ca")

    def an_expired_client_certificate_is_refused(self):
        pair = self.way.sign(SLEEP, 3)
        self.is_taken(pair)
        until(self.client(pair).answer, (0, None))
        self.is_refused(pair, EXPIRED, "alert certificate expired")

    def openssl_shows_the_chain_three_deep(self):
        client = self.client(self.sleep_pair)
        bare = client.s_client()
        contains(bare, "self-signedcertificateincertificatechain")
        served = [part.split("-----END")[0].strip() for part in bare.split("-----BEGINCERTIFICATE-----")[1:]]
        equal(served, bodies(self.httpbin_pair.chain))
        equal(served[2], bodies(self.httpbin_pair.roots)[0])
        roots = self.folder / "roots.pem"
        roots.write_text(self.httpbin_pair.roots)
        shown = client.s_client("-CAfile", str(roots)).splitlines()
        issuer = "C=US,O=RedHatConsulting,OU=RH-FSI,CN=RHCustom"
        depths = [line for line in shown if line.startswith("depth=")]
        equal(depths, [f"depth=2{issuer}RootCA", f"depth=1{issuer}IntermediateCA", f"depth=0{self.way.subject}"])
        assert "Verifyreturncode:0(ok)" in shown, shown

    def an_expired_server_certificate_is_refused_and_its_successor_taken(self):
        self.httpbin.give(self.way.sign(HTTPBIN, 3))
        until(lambda: EXPIRED in ask(self.port)[2], True)
        self.httpbin_pair = self.way.sign(HTTPBIN)
        self.httpbin.give(self.httpbin_pair)
        until(lambda: ask(self.port)[0], 200)

    def a_new_intermediate_keeps_traffic_flowing(self):
        with self.traffic() as traffic:
            traffic.flows_on()
            self.authority.new_intermediate(self.first_root)
            traffic.flows_on()
            self.renew_one_after_the_other(traffic)

    def a_new_root_keeps_traffic_flowing(self):
        with self.traffic() as traffic:
            traffic.flows_on()
            self.second_root = self.authority.new_root()
            self.renew_one_after_the_other(traffic)
            equal(len(bodies(self.httpbin_pair.roots)), 2)
            self.old_pair = self.sleep_pair
            self.authority.new_intermediate(self.second_root)
            traffic.flows_on()
            self.renew_one_after_the_other(traffic)
            # With both roots published, a certificate below the old one still counts.
            self.is_taken(self.old_pair)

    def dropping_the_old_root_keeps_traffic_flowing(self):
        with self.traffic() as traffic:
            self.authority.drop_root(self.first_root)
            self.renew_one_after_the_other(traffic)
            equal(len(bodies(self.httpbin_pair.roots)), 1)
            until(self.client(self.old_pair).answer, (0, None))
            traffic.flows_on()

    def a_certificate_below_the_dropped_root_is_refused(self):
        self.is_refused(self.old_pair, UNKNOWN_AUTHORITY, "alert unknown ca")

    def nobody_was_restarted(self):
        equal((self.httpbin.process.poll(), self.sleep.process.poll()), (None, None))

    def traffic(self):
        return Traffic(f"http://127.0.0.1:{self.port}/")

    def renew_one_after_the_other(self, traffic):
        """In between a workload with a new certificate talks to one with an old one."""
        self.sleep_pair = self.way.sign(SLEEP)
        self.sleep.give(self.sleep_pair)
        until(lambda: ask(self.port)[1], self.sleep_pair.caller(SLEEP))
        traffic.flows_on()
        self.httpbin_pair = self.way.sign(HTTPBIN)
        self.httpbin.give(self.httpbin_pair)
        until(lambda: bodies(self.httpbin_pair.chain)[0] in self.client(self.sleep_pair).s_client(), True)
        traffic.flows_on()

    def client(self, pair=None):
        """Straight to httpbin's Envoy."""
        return Client(self.folder, self.upstream, pair)

    def is_taken(self, pair):
        equal(self.client(pair).answer(), (200, pair.caller(SLEEP)))

    def is_refused(self, pair, reason, alert):
        """By httpbin's Envoy for `reason`, and the client is told `alert`."""
        text, client_port = self.client(pair).refusal()
        contains(text, alert)
        self.was_refused(client_port, reason)

    def was_refused(self, client_port, reason):
        until(lambda: client_port in self.httpbin.connections(), True)
        contains(self.httpbin.connections()[client_port], reason)


CHECKS = [
    Mesh.mutual_tls_between_two_workloads,
    Mesh.a_workload_reaches_another_directly,
    Mesh.without_a_client_certificate_nothing_answers,
    Mesh.plain_http_is_refused,
    Mesh.a_server_with_another_identity_is_refused,
    Mesh.another_trust_domain_is_refused,
    Mesh.another_authority_is_refused,
    Mesh.an_expired_client_certificate_is_refused,
    Mesh.openssl_shows_the_chain_three_deep,
    Mesh.an_expired_server_certificate_is_refused_and_its_successor_taken,
    Mesh.a_new_intermediate_keeps_traffic_flowing,
    Mesh.a_new_root_keeps_traffic_flowing,
    Mesh.dropping_the_old_root_keeps_traffic_flowing,
    Mesh.a_certificate_below_the_dropped_root_is_refused,
    Mesh.nobody_was_restarted,
]


def of_another_domain(authority):
    """A pair for another trust domain, signed by the same issuer."""
    made = authority.vault.write(f"{authority.mount}/issue/mesh", uri_sans=ELSEWHERE, key_type="ec", key_bits=256)
    chain = "\n".join([made["certificate"], *made["ca_chain"]]) + "\n"
    return Pair(made["private_key"], chain, "")


def ask(port):
    """Status, whom the upstream takes the caller for, and the text, of an answer of an Envoy."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
            return answer.status, answer.headers[CALLER], answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, None, error.read().decode()
    except OSError as error:
        return 0, None, str(error)


def until(get, wanted):
    deadline = time.monotonic() + PATIENCE_SECS
    while (got := get()) != wanted:
        if time.monotonic() > deadline:
            raise AssertionError(f"{got!r} stays, not {wanted!r}")
        time.sleep(0.1)


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


def contains(text, part):
    assert part in text, f"{part!r} is not in {text!r}"


def run(folder, way, stranger):
    """Whether a check failed."""
    mesh, failed = Mesh(folder, way, stranger), False
    try:
        for check in CHECKS:
            name = f"{way.title}: {check.__name__.replace('_', ' ')}"
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
    return failed


def main():
    vault = Vault(os.environ["VAULT_ADDR"], os.environ["VAULT_TOKEN"])
    with tempfile.TemporaryDirectory() as name:
        folder, stranger = pathlib.Path(name), OverHttp(vault, "envoy_stranger")
        failed = run(folder / "http", OverHttp(vault, "envoy"), stranger)
        if os.environ.get("CONFORMANCE_AGAINST") != "signet" or "CONFORMANCE_SERVER" not in os.environ:
            print("skipped over gRPC: only Signet has a certificate service, and its program must be named")
            sys.exit(failed)
        way = OverGrpc(os.environ["CONFORMANCE_SERVER"], folder / "server", free_ports(2))
        try:
            failed = run(folder / "grpc", way, stranger) or failed
        finally:
            way.stop()
    sys.exit(failed)


main()
