"""What logins rest on: authorities with their certificates, signed tokens, and servers that vouch for them."""

import base64
import datetime
import http.server
import ipaddress
import json
import pathlib
import ssl
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

USAGES = {"client": ExtendedKeyUsageOID.CLIENT_AUTH, "server": ExtendedKeyUsageOID.SERVER_AUTH}


def pem(thing):
    if hasattr(thing, "private_bytes"):
        made = thing.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    elif isinstance(thing, x509.Certificate):
        made = thing.public_bytes(serialization.Encoding.PEM)
    else:
        made = thing.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return made.decode()


def distinguished(common_name, unit=None):
    units = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit)] if unit else []
    return x509.Name([*units, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


class Authority:
    def __init__(self, folder, name):
        self.folder = pathlib.Path(folder)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = distinguished(name)
        # As Go's verifier wants it of an authority.
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
        ) | {"encipher_only": False, "decipher_only": False, "digital_signature": True}
        self.certificate = self._sign(
            self._builder(self.name, self.key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
        )
        self.pem = pem(self.certificate)

    def _builder(self, subject, key):
        now = datetime.datetime.now(datetime.timezone.utc)
        hour = datetime.timedelta(hours=1)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - hour)
            .not_valid_after(now + hour)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )

    def _sign(self, builder):
        own = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return builder.add_extension(own, critical=False).sign(self.key, hashes.SHA256())

    def issue(self, common_name, usage="client", unit=None, names=(), key=None):
        """Certificate, and the files of it and of its key."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(distinguished(common_name, unit), key)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([USAGES[usage]]), critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = self._sign(builder)
        file = self.folder / f"{certificate.serial_number:x}"
        own, secret = file.with_suffix(".pem"), file.with_suffix(".key")
        own.write_text(pem(certificate))
        secret.write_text(pem(key))
        return certificate, (str(own), str(secret))

    def crl(self, *revoked):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name)
        builder = builder.last_update(now).next_update(now + datetime.timedelta(hours=1))
        for certificate in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(now).build())
        own = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = builder.add_extension(own, critical=False).add_extension(x509.CRLNumber(1), critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def encoded(content):
    if not isinstance(content, bytes):
        content = json.dumps(content).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def number(value, size):
    return encoded(value.to_bytes(size, "big"))


class Signer:
    """Signs tokens, with ES256 or RS256."""

    def __init__(self, algorithm="ES256", identifier="one"):
        self.algorithm, self.identifier = algorithm, identifier
        if algorithm == "ES256":
            self.key = ec.generate_private_key(ec.SECP256R1())
        else:
            self.key = rsa.generate_private_key(65537, 2048)
        self.pem = pem(self.key.public_key())

    def token(self, **claims):
        """For five minutes unless `exp` says otherwise; a claim that is None is left out."""
        now = int(time.time())
        claims = {"iat": now, "nbf": now, "exp": now + 300} | claims
        claims = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": self.algorithm, "typ": "JWT", "kid": self.identifier}
        signed = f"{encoded(header)}.{encoded(claims)}"
        if self.algorithm == "ES256":
            made = self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256()))
            signature = b"".join(part.to_bytes(32, "big") for part in decode_dss_signature(made))
        else:
            signature = self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{encoded(signature)}"

    def jwk(self):
        numbers = self.key.public_key().public_numbers()
        own = {"use": "sig", "alg": self.algorithm, "kid": self.identifier}
        if self.algorithm == "ES256":
            return own | {"kty": "EC", "crv": "P-256", "x": number(numbers.x, 32), "y": number(numbers.y, 32)}
        return own | {"kty": "RSA", "e": number(numbers.e, 3), "n": number(numbers.n, 256)}


class Endpoint:
    """A TLS server on the loopback; `answer(method, path, headers, body)` gives a status and JSON."""

    def __init__(self, authority, answer):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, reply = answer(self.command, self.path, self.headers, content)
                reply = json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        _, files = authority.issue("api", "server", names=[address])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
