"""Has a server issue one of every kind and writes what comes back into a folder, with an `index.json`.

    VAULT_ADDR=… VAULT_TOKEN=… make.py FOLDER

The index lists specimens in the order of issue: `kind` is `certificate`, `crl` or `ocsp`; `file` is DER;
`issuer` names another specimen, itself for a root.
"""

import hashlib
import json
import os
import pathlib
import sys

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509 import ocsp

WORKLOAD = "spiffe://cluster.local/ns/httpbin/sa/httpbin"

# Name, key type and size of an authority and of what it issues.
FAMILIES = [
    ("rsa", "rsa", 2048),
    ("p256", "ec", 256),
    ("p384", "ec", 384),
    ("p521", "ec", 521),
    ("ed25519", "ed25519", 0),
]


class Server:
    def __init__(self, address, token):
        self.address = address
        self.is_openbao = os.environ.get("CONFORMANCE_AGAINST") == "openbao"
        self.session = requests.Session()
        self.session.headers["X-Vault-Token"] = token

    def write(self, path, **data):
        answer = self.session.post(f"{self.address}/v1/{path}", json=data, timeout=120)
        if not answer.ok:
            raise RuntimeError(f"{path}: {answer.status_code} {answer.text}")
        return answer.json().get("data") or {} if answer.content else {}

    def read(self, path):
        answer = self.session.get(f"{self.address}/v1/{path}", timeout=60)
        answer.raise_for_status()
        return answer.content

    def ask(self, mount, request):
        """An answer of the responder; nothing where OpenBao fails, with authorities on Ed25519."""
        answer = self.session.post(
            f"{self.address}/v1/{mount}/ocsp",
            data=request,
            headers={"Content-Type": "application/ocsp-request"},
            timeout=60,
        )
        if answer.status_code == 500 and self.is_openbao and mount.startswith("ed25519"):
            return None
        answer.raise_for_status()
        return answer.content


class Specimens:
    def __init__(self, server, folder):
        self.server, self.folder = server, pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.index = []

    def add(self, name, kind, der, **facts):
        file = f"{name}.{'der' if kind == 'certificate' else kind}"
        (self.folder / file).write_bytes(der)
        self.index.append({"name": name, "kind": kind, "file": file, **facts})

    def certificate(self, name, pem, issuer, usages=(), dns=(), ips=(), uris=(), emails=()):
        """`usages` are what the certificate is to be good for: server, client, code, email."""
        certificate = x509.load_pem_x509_certificate(pem.encode())
        self.add(
            name,
            "certificate",
            certificate.public_bytes(serialization.Encoding.DER),
            issuer=issuer,
            ca=not usages,
            usages=list(usages),
            dns=list(dns),
            ips=list(ips),
            uris=list(uris),
            emails=list(emails),
        )
        return certificate

    def family(self, name, key_type, key_bits):
        """Root, intermediate, leaf, revocation lists and OCSP answers with one type of key."""
        key = {"key_type": key_type, "key_bits": key_bits}
        root, middle = f"{name}-root", f"{name}-intermediate"
        for mount in (root, middle):
            mount_authority(self.server, mount)
        made = self.server.write(
            f"{root}/root/generate/internal",
            common_name=f"{name} root", organization="Specimens", country="US", ttl="87600h", **key,
        )
        self.certificate(root, made["certificate"], root)
        request = self.server.write(
            f"{middle}/intermediate/generate/internal", common_name=f"{name} intermediate", **key
        )
        made = self.server.write(
            f"{root}/root/sign-intermediate",
            csr=request["csr"], common_name=f"{name} intermediate", organization="Specimens", country="US",
            max_path_length=0, ttl="43800h", format="pem_bundle",
        )
        issuer = self.certificate(middle, first(made["certificate"]), root)
        self.server.write(f"{middle}/intermediate/set-signed", certificate=made["certificate"])
        self.server.write(f"{middle}/config/crl", enable_delta=True, auto_rebuild=True)
        role(self.server, middle, key_type=key_type, key_bits=key_bits)
        names = {"dns": ["web.example.com", "*.example.com"], "ips": ["10.0.0.1", "2001:db8::1"]}
        made = self.server.write(
            f"{middle}/issue/all",
            common_name="web.example.com", alt_names="*.example.com", ip_sans="10.0.0.1,2001:db8::1", ttl="24h",
        )
        leaf = self.certificate(f"{name}-leaf", made["certificate"], middle, ["server", "client"], **names)
        self.revocation(name, middle, issuer, leaf)

    def revocation(self, name, mount, issuer, leaf):
        self.add(f"{name}-crl-empty", "crl", self.server.read(f"{mount}/crl"), issuer=mount, delta=False)
        revoked = self.server.write(f"{mount}/issue/all", common_name="gone.example.com", ttl="24h")
        revoked = self.certificate(
            f"{name}-revoked", revoked["certificate"], mount, ["server", "client"], dns=["gone.example.com"]
        )
        self.server.write(f"{mount}/revoke", serial_number=colons(revoked.serial_number))
        self.server.read(f"{mount}/crl/rotate-delta")
        self.add(f"{name}-crl-delta", "crl", self.server.read(f"{mount}/crl/delta"), issuer=mount, delta=True)
        self.server.read(f"{mount}/crl/rotate")
        self.add(f"{name}-crl", "crl", self.server.read(f"{mount}/crl"), issuer=mount, delta=False)
        root = mount.replace("intermediate", "root")
        self.add(f"{name}-crl-root", "crl", self.server.read(f"{root}/crl"), issuer=root, delta=False)
        nonce = hashlib.sha256(name.encode()).digest()
        # A serial number that was never issued is good; a certificate of another authority is unknown.
        for status, serial, asked_of in [
            ("good", leaf.serial_number, issuer),
            ("revoked", revoked.serial_number, issuer),
            ("unknown", leaf.serial_number, leaf),
        ]:
            for title, asked in (("", None), ("-nonce", nonce)):
                answer = self.server.ask(mount, question(asked_of, serial, asked))
                if answer is None:
                    continue
                self.add(
                    f"{name}-ocsp-{status}{title}", "ocsp", answer,
                    issuer=mount, serial=colons(serial), status=status, nonce=asked.hex() if asked else None,
                )

    def kinds(self):
        """What the endpoints and roles of one mount can make, below the P-256 and the RSA intermediate."""
        for family in ("rsa", "p256"):
            mount = f"{family}-intermediate"
            for key_name, key_type, key_bits in FAMILIES:
                role(self.server, mount, f"keys-{key_name}", key_type=key_type, key_bits=key_bits)
                dns = f"{key_name}.example.com"
                made = self.server.write(f"{mount}/issue/keys-{key_name}", common_name=dns, ttl="1h")
                self.certificate(
                    f"{family}-issues-{key_name}", made["certificate"], mount, ["server", "client"], dns=[dns]
                )
        mount = "p256-intermediate"
        role(self.server, mount, "any", key_type="any")
        for key_name, key in private_keys():
            made = self.server.write(
                f"{mount}/sign/any", csr=csr(key, "signed.example.com", [x509.DNSName("signed.example.com")]),
                common_name="signed.example.com", ttl="1h",
            )
            self.certificate(
                f"sign-{key_name}", made["certificate"], mount, ["server", "client"], dns=["signed.example.com"]
            )
            made = self.server.write(
                f"{mount}/sign-verbatim", csr=csr(key, "verbatim.example.com", [
                    x509.DNSName("verbatim.example.com"), x509.RFC822Name("a@example.com"),
                ]), ttl="1h", ext_key_usage="ServerAuth",
            )
            self.certificate(
                f"verbatim-{key_name}", made["certificate"], mount, ["server"],
                dns=["verbatim.example.com"], emails=["a@example.com"],
            )
            self.workload(key_name, key, mount)
        self.purposes(mount)

    def workload(self, key_name, key, mount):
        role(
            self.server, mount, "workload", key_type="any", require_cn=False, ou="RH-SPPRT",
            organization="Red Hat Consulting", country="US",
        )
        made = self.server.write(
            f"{mount}/sign/workload",
            csr=csr(key, None, [x509.UniformResourceIdentifier(WORKLOAD)], critical=True),
            common_name="", alt_names="", ip_sans="", uri_sans=WORKLOAD, ttl="1h0m0s", exclude_cn_from_sans="true",
        )
        self.certificate(f"workload-{key_name}", made["certificate"], mount, ["server", "client"], uris=[WORKLOAD])
        role(self.server, mount, "anonymous", key_type="any", require_cn=False)
        made = self.server.write(
            f"{mount}/sign/anonymous",
            csr=csr(key, None, [x509.UniformResourceIdentifier(WORKLOAD)], critical=True),
            common_name="", uri_sans=WORKLOAD, ttl="1h",
        )
        self.certificate(f"anonymous-{key_name}", made["certificate"], mount, ["server", "client"], uris=[WORKLOAD])

    def purposes(self, mount):
        for name, usages, settings in [
            ("server-only", ["server"], {"client_flag": False}),
            ("client-only", ["client"], {"server_flag": False}),
            ("code", ["code"], {"server_flag": False, "client_flag": False, "code_signing_flag": True}),
            ("email", ["email"], {"server_flag": False, "client_flag": False, "email_protection_flag": True}),
            ("policies", ["server", "client"], {"policy_identifiers": ["1.3.6.1.4.1.99999.1"]}),
            ("constrained", ["server", "client"], {"basic_constraints_valid_for_non_ca": True}),
            ("backdated", ["server", "client"], {"not_before_duration": "10m"}),
        ]:
            role(self.server, mount, name, key_type="ec", **settings)
            asked = {"common_name": "purpose.example.com", "ttl": "1h"}
            names = {"dns": ["purpose.example.com"]}
            if name == "email":
                asked["alt_names"] = "someone@example.com"
                names["emails"] = ["someone@example.com"]
            made = self.server.write(f"{mount}/issue/{name}", **asked)
            self.certificate(f"purpose-{name}", made["certificate"], mount, usages, **names)
        role(self.server, mount, "other", key_type="ec", allowed_other_sans="*", require_cn=False)
        made = self.server.write(
            f"{mount}/issue/other", common_name="other.example.com",
            other_sans="1.3.6.1.4.1.311.20.2.3;UTF8:someone@example.com", ttl="1h",
        )
        self.certificate("purpose-other-name", made["certificate"], mount, ["server", "client"], dns=["other.example.com"])

    def authorities(self):
        """Authorities that are out of the ordinary."""
        mount_authority(self.server, "pss")
        made = self.server.write(
            "pss/root/generate/internal", common_name="PSS root", key_type="rsa", use_pss=True, ttl="8760h"
        )
        self.certificate("pss-root", made["certificate"], "pss-root")
        role(self.server, "pss", key_type="ec", use_pss=True)
        made = self.server.write("pss/issue/all", common_name="pss.example.com", ttl="1h")
        self.certificate("pss-leaf", made["certificate"], "pss-root", ["server", "client"], dns=["pss.example.com"])
        mount_authority(self.server, "fenced")
        made = self.server.write(
            "fenced/root/generate/internal", common_name="Fenced root", key_type="ec", ttl="8760h",
            permitted_dns_domains="example.com,.example.org",
        )
        self.certificate("fenced-root", made["certificate"], "fenced-root")
        role(self.server, "fenced", key_type="ec")
        made = self.server.write("fenced/issue/all", common_name="in.example.com", ttl="1h")
        self.certificate("fenced-leaf", made["certificate"], "fenced-root", ["server", "client"], dns=["in.example.com"])
        for bits in (3072, 4096):
            mount_authority(self.server, f"rsa{bits}")
            made = self.server.write(
                f"rsa{bits}/root/generate/internal", common_name=f"RSA {bits} root", key_type="rsa", key_bits=bits,
                ttl="8760h",
            )
            self.certificate(f"rsa{bits}-root", made["certificate"], f"rsa{bits}-root")

    def save(self):
        (self.folder / "index.json").write_text(json.dumps(self.index, indent=1))


def mount_authority(server, mount):
    server.write(f"sys/mounts/{mount}", type="pki", config={"max_lease_ttl": "87600h"})
    base = f"http://pki.example.com/v1/{mount}"
    server.write(
        f"{mount}/config/urls",
        issuing_certificates=[f"{base}/ca"], crl_distribution_points=[f"{base}/crl"], ocsp_servers=[f"{base}/ocsp"],
    )


def role(server, mount, name="all", **settings):
    server.write(
        f"{mount}/roles/{name}",
        **{
            "allow_any_name": True, "enforce_hostnames": False, "allow_wildcard_certificates": True,
            "allowed_uri_sans": ["spiffe://*"], "max_ttl": "72h", **settings,
        },
    )


def private_keys():
    yield "rsa", rsa.generate_private_key(65537, 2048)
    yield "p256", ec.generate_private_key(ec.SECP256R1())
    yield "p384", ec.generate_private_key(ec.SECP384R1())
    yield "p521", ec.generate_private_key(ec.SECP521R1())
    yield "ed25519", ed25519.Ed25519PrivateKey.generate()


def csr(key, common_name, names, critical=False):
    subject = [x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)] if common_name else []
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    request = request.add_extension(x509.SubjectAlternativeName(names), critical=critical)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return request.sign(key, algorithm).public_bytes(serialization.Encoding.PEM).decode()


def question(issuer, serial, nonce):
    name = hashlib.sha1(issuer.subject.public_bytes()).digest()
    key = x509.SubjectKeyIdentifier.from_public_key(issuer.public_key()).digest
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(name, key, serial, hashes.SHA1())
    if nonce:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(serialization.Encoding.DER)


def first(bundle):
    end = "-----END CERTIFICATE-----"
    return bundle.split(end)[0] + end + "\n"


def colons(serial):
    text = f"{serial:x}"
    return bytes.fromhex(text.zfill(len(text) + len(text) % 2)).hex(":")


def main():
    server = Server(os.environ["VAULT_ADDR"], os.environ["VAULT_TOKEN"])
    specimens = Specimens(server, sys.argv[1])
    for family in FAMILIES:
        specimens.family(*family)
    specimens.kinds()
    specimens.authorities()
    specimens.save()


main()
