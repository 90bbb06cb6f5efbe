"""The certificate service of a server of its own, and a client of it as Istio's agents are."""

import base64
import json
import os
import pathlib
import subprocess
import sys
import time

# The library tells of each handshake that fails while the server is not yet ready.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
# pylint: disable=wrong-import-position
import grpc
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from authority import Authority, Pair, Vault, request

PROTOCOL = pathlib.Path(__file__).parents[2] / "proto"
METHOD = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
# Whom agents look for, wherever they dial.
NAME = "istiod.istio-system.svc"
ISSUER = "https://kubernetes.default.svc.cluster.local"
PATIENCE_SECS = 60

sys.path.append(str(PROTOCOL))
messages = grpc.protos("istio/v1/auth/ca.proto")


class Cluster:
    """Who signs the tokens of service accounts."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())

    def keys(self):
        point = self.key.public_key().public_numbers()
        x, y = (encode(number.to_bytes(32, "big")) for number in (point.x, point.y))
        return json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "cluster", "x": x, "y": y}]})

    def token(self, identity):
        """As the pod of a service account finds it mounted."""
        namespace, account = identity.split("/")[4::2]
        now = int(time.time())
        claims = {
            "iss": ISSUER, "aud": ["istio-ca"], "sub": f"system:serviceaccount:{namespace}:{account}",
            "iat": now, "nbf": now, "exp": now + 3600,
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": account, "uid": "d77f89bc"}},
        }
        signed = ".".join(encode(json.dumps(part).encode()) for part in ({"alg": "ES256", "kid": "cluster"}, claims))
        numbers = decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{encode(b''.join(number.to_bytes(32, 'big') for number in numbers))}"


class OverGrpc:
    """As Istio's agents get certificates: one call, with the token of a service account."""

    title = "over gRPC"
    # What OpenSSL shows of the subject: there is none.
    subject = ""

    def __init__(self, program, folder, ports):
        self.folder, self.cluster, (http, self.port) = folder, Cluster(), ports
        folder.mkdir()
        (folder / "jwks.json").write_text(self.cluster.keys())
        (folder / "config.hcl").write_text(f"""
istio_csr {{
  address      = "127.0.0.1:{self.port}"
  mount        = "mesh_int"
  role         = "mesh"
  trust_domain = "cluster.local"
  dns_names    = ["{NAME}"]
  authenticator "jwks" {{
    file   = "{folder / 'jwks.json'}"
    issuer = "{ISSUER}"
  }}
}}
""")
        with open(folder / "log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [program, "server", "-dev", "-dev-no-store-token", "-dev-root-token-id=root",
                 f"-dev-listen-address=127.0.0.1:{http}", f"-config={folder / 'config.hcl'}"],
                stdout=log, stderr=log, env={"HOME": str(folder), "PATH": os.environ["PATH"]},
            )
        try:
            vault = Vault(f"http://127.0.0.1:{http}", "root")
            patiently(lambda: vault.call("GET", "sys/health"), (OSError,))
            self.authority = Authority(vault, "mesh")
            # Agents find the first roots mounted; later ones come with their certificates.
            self.roots = self.authority.published()
            patiently(lambda: self.sign("spiffe://cluster.local/ns/first/sa/first"), (grpc.RpcError,))
        except BaseException:
            self.stop()
            raise

    def sign(self, identity, ttl_secs=3600):
        key, csr = request(identity)
        trust = grpc.ssl_channel_credentials(self.roots.encode())
        options = [("grpc.ssl_target_name_override", NAME), ("grpc.use_local_subchannel_pool", 1)]
        with grpc.secure_channel(f"127.0.0.1:{self.port}", trust, options) as channel:
            create = channel.unary_unary(
                METHOD, messages.IstioCertificateRequest.SerializeToString,
                messages.IstioCertificateResponse.FromString,
            )
            answer = create(
                messages.IstioCertificateRequest(csr=csr, validity_duration=ttl_secs, metadata={"CertSigner": ""}),
                metadata=[("authorization", f"Bearer {self.cluster.token(identity)}"), ("clusterid", "Kubernetes")],
                timeout=PATIENCE_SECS,
            )
        *chain, self.roots = answer.cert_chain
        # Agents serve all elements, and take the last one for the roots.
        return Pair(key, "".join([*chain, self.roots]), self.roots)

    def stop(self):
        self.process.kill()
        self.process.wait()


def patiently(ask, excused):
    """Until the server is up."""
    deadline = time.monotonic() + PATIENCE_SECS
    while True:
        try:
            return ask()
        except excused:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def encode(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
