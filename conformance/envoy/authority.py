"""An authority whose root and intermediate can be replaced, and how a workload gets its certificate from it."""

import dataclasses

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

SUBJECT = {"ou": "RH-FSI", "organization": "Red Hat Consulting", "country": "US"}


@dataclasses.dataclass
class Pair:
    """What a workload serves, and whom it trusts from then on; all in PEM."""

    key: str
    chain: str
    roots: str

    def caller(self, identity):
        """What the server of a workload that shows this says of its client."""
        leaf = x509.load_pem_x509_certificate(self.chain.encode())
        return f"{identity} {leaf.fingerprint(hashes.SHA256()).hex()}"


class Vault:
    """The HTTP API of a server."""

    def __init__(self, address, token):
        self.address, self.token = address, token

    def call(self, method, path, token=None, data=None):
        headers = {"X-Vault-Token": self.token if token is None else token}
        answer = requests.request(method, f"{self.address}/v1/{path}", json=data, headers=headers, timeout=60)
        if not answer.ok:
            raise RuntimeError(f"{path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else {}

    def write(self, path, **data):
        return self.call("POST", path, data=data).get("data") or {}


class Authority:
    """A mount with an intermediate and all roots that are published, and the role `mesh`."""

    def __init__(self, vault, name):
        self.vault, self.name, self.mount = vault, name, f"{name}_int"
        # By the mount that has its key: the issuer's id in this mount, and the certificate.
        self.roots = {}
        self.enable(self.mount)
        self.new_intermediate(self.new_root())
        vault.write(
            f"{self.mount}/roles/mesh", allow_any_name=True, require_cn=False, key_type="any", ou="RH-SPPRT",
            organization="Red Hat Consulting", country="US", allowed_uri_sans="spiffe://*", max_ttl="24h",
        )

    def enable(self, mount):
        self.vault.write(f"sys/mounts/{mount}", type="pki", config={"max_lease_ttl": "87600h"})

    def new_root(self):
        """Makes a root in a mount of its own and publishes it; gives that mount."""
        mount = f"{self.name}_root_{len(self.roots) + 1}"
        self.enable(mount)
        made = self.vault.write(
            f"{mount}/root/generate/internal", common_name="RH Custom Root CA", ttl="87600h", key_type="ec", **SUBJECT
        )["certificate"]
        imported = self.vault.write(f"{self.mount}/issuers/import/cert", pem_bundle=made)["imported_issuers"]
        self.roots[mount] = (imported[0], made.strip() + "\n")
        return mount

    def drop_root(self, mount):
        issuer, _ = self.roots.pop(mount)
        self.vault.call("DELETE", f"{self.mount}/issuer/{issuer}")

    def new_intermediate(self, root):
        """From now on certificates are signed by it."""
        csr = self.vault.write(
            f"{self.mount}/intermediate/generate/internal",
            common_name="RH Custom Intermediate CA", key_type="ec", **SUBJECT,
        )["csr"]
        signed = self.vault.write(
            f"{root}/root/sign-intermediate", csr=csr, common_name="RH Custom Intermediate CA", ttl="43800h", **SUBJECT
        )["certificate"]
        imported = self.vault.write(f"{self.mount}/intermediate/set-signed", certificate=signed)["imported_issuers"]
        self.vault.write(f"{self.mount}/config/issuers", default=imported[0])

    def published(self):
        return "".join(certificate for _, certificate in self.roots.values())


class OverHttp:
    """As cert-manager gets certificates: log in with AppRole, and sign."""

    title = "over HTTP"
    # What OpenSSL shows of the subject.
    subject = "C=US,O=RedHatConsulting,OU=RH-SPPRT"

    def __init__(self, vault, name):
        self.vault, self.name, self.authority = vault, name, Authority(vault, name)
        rules = f'path "{self.authority.mount}/sign/mesh" {{ capabilities = ["create", "update"] }}'
        vault.write(f"sys/policies/acl/{name}", policy=rules)
        vault.write(f"sys/auth/{name}", type="approle")
        vault.write(f"auth/{name}/role/mesh", token_num_uses=10, token_ttl="10m", token_policies=[name])
        self.role_id = vault.call("GET", f"auth/{name}/role/mesh/role-id")["data"]["role_id"]
        self.secret_id = vault.write(f"auth/{name}/role/mesh/secret-id")["secret_id"]

    def sign(self, identity, ttl_secs=3600):
        login = {"role_id": self.role_id, "secret_id": self.secret_id}
        token = self.vault.call("POST", f"auth/{self.name}/login", "", login)["auth"]["client_token"]
        key, csr = request(identity)
        data = {
            "csr": csr, "common_name": "", "alt_names": "", "ip_sans": "", "uri_sans": identity, "ttl": f"{ttl_secs}s",
            "exclude_cn_from_sans": "true",
        }
        signed = self.vault.call("POST", f"{self.authority.mount}/sign/mesh", token, data)["data"]
        chain = "\n".join([signed["certificate"].strip(), *map(str.strip, signed["ca_chain"])]) + "\n"
        return Pair(key, chain, self.authority.published())

    def stop(self):
        pass


def request(identity):
    """A new key, and a request with an empty subject and one URI."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=True)
    csr = csr.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    key = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return key.decode(), csr
