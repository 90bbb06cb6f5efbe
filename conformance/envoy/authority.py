"""An authority with a login, as in the README's walk-through, and what a workload gets from it."""

import os

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Authority:
    """Root and intermediate, a role, and an AppRole that may sign with it."""

    def __init__(self, name):
        self.name, self.address = name, os.environ["VAULT_ADDR"]
        self.token = os.environ["VAULT_TOKEN"]
        subject = {"ou": "RH-FSI", "organization": "Red Hat Consulting", "country": "US"}
        root, self.mount = f"{name}_root", f"{name}_int"
        for mount in (root, self.mount):
            self.write(f"sys/mounts/{mount}", type="pki", config={"max_lease_ttl": "87600h"})
        made = self.write(
            f"{root}/root/generate/internal", common_name="RH Custom Root CA", ttl="87600h", key_type="ec", **subject
        )
        self.root = made["certificate"].strip() + "\n"
        csr = self.write(
            f"{self.mount}/intermediate/generate/internal",
            common_name="RH Custom Intermediate CA", key_type="ec", **subject,
        )["csr"]
        signed = self.write(
            f"{root}/root/sign-intermediate",
            csr=csr, common_name="RH Custom Intermediate CA", ttl="43800h", format="pem_bundle", **subject,
        )["certificate"]
        self.write(f"{self.mount}/intermediate/set-signed", certificate=signed)
        self.write(
            f"{self.mount}/roles/mesh", allow_any_name=True, require_cn=False, key_type="any", ou="RH-SPPRT",
            organization="Red Hat Consulting", country="US", allowed_uri_sans="spiffe://*", max_ttl="24h",
        )
        rules = f'path "{self.mount}/sign/mesh" {{ capabilities = ["create", "update"] }}'
        self.write(f"sys/policies/acl/{name}", policy=rules)
        self.write(f"sys/auth/{name}", type="approle")
        self.write(f"auth/{name}/role/mesh", token_num_uses=10, token_ttl="10m", token_policies=[name])
        self.role_id = self.call("GET", f"auth/{name}/role/mesh/role-id")["data"]["role_id"]
        self.secret_id = self.write(f"auth/{name}/role/mesh/secret-id")["secret_id"]

    def call(self, method, path, token=None, data=None):
        headers = {"X-Vault-Token": self.token if token is None else token}
        answer = requests.request(method, f"{self.address}/v1/{path}", json=data, headers=headers, timeout=60)
        if not answer.ok:
            raise RuntimeError(f"{path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else {}

    def write(self, path, **data):
        return self.call("POST", path, data=data).get("data") or {}

    def sign(self, identity, ttl="1h"):
        """Log in and sign, as cert-manager does; gives the key, and the chain up to the root."""
        login = {"role_id": self.role_id, "secret_id": self.secret_id}
        token = self.call("POST", f"auth/{self.name}/login", "", login)["auth"]["client_token"]
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
        csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=True)
        csr = csr.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
        data = {
            "csr": csr, "common_name": "", "alt_names": "", "ip_sans": "", "uri_sans": identity, "ttl": ttl,
            "exclude_cn_from_sans": "true",
        }
        signed = self.call("POST", f"{self.mount}/sign/mesh", token, data)["data"]
        key = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        return key, "\n".join([signed["certificate"].strip(), *map(str.strip, signed["ca_chain"])]) + "\n"
