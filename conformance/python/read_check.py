"""Reads every specimen with `cryptography`, verifies it, and compares it with what was asked for.

    read_check.py SPECIMENS
"""

import json
import os
import pathlib
import sys
import traceback

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
from cryptography.x509 import ocsp, verification

FOLDER = pathlib.Path(sys.argv[1])
IS_OPENBAO = os.environ.get("CONFORMANCE_AGAINST") == "openbao"
INDEX = json.loads((FOLDER / "index.json").read_text())
USAGES = {
    "server": x509.ExtendedKeyUsageOID.SERVER_AUTH,
    "client": x509.ExtendedKeyUsageOID.CLIENT_AUTH,
    "code": x509.ExtendedKeyUsageOID.CODE_SIGNING,
    "email": x509.ExtendedKeyUsageOID.EMAIL_PROTECTION,
}


def read(specimen):
    return (FOLDER / specimen["file"]).read_bytes()


CERTIFICATES = {
    specimen["name"]: x509.load_der_x509_certificate(read(specimen))
    for specimen in INDEX
    if specimen["kind"] == "certificate"
}
ISSUERS = {specimen["name"]: specimen["issuer"] for specimen in INDEX}


def equal(got, wanted):
    assert got == wanted, f"{got!r} is not {wanted!r}"


def verify(key, signed):
    if isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signed.signature, tbs(signed), ec.ECDSA(signed.signature_hash_algorithm))
    elif isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(signed.signature, tbs(signed))
    else:
        key.verify(signed.signature, tbs(signed), padding.PKCS1v15(), signed.signature_hash_algorithm)


def tbs(signed):
    return signed.tbs_response_bytes


def certificate(specimen):
    made, issuer = CERTIFICATES[specimen["name"]], CERTIFICATES[specimen["issuer"]]
    made.verify_directly_issued_by(issuer)
    equal(made.version, x509.Version.v3)
    assert made.serial_number > 0 and made.serial_number.bit_length() <= 159
    # Reading an extension is what may fail.
    extensions = {extension.oid for extension in made.extensions}
    equal(len(extensions), len(made.extensions))
    key = x509.SubjectKeyIdentifier.from_public_key(made.public_key())
    equal(made.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value, key)
    if specimen["ca"]:
        authority(made)
    else:
        leaf(specimen, made, issuer)


def authority(made):
    basic = made.extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.critical and basic.value.ca
    usage = made.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical and usage.value.key_cert_sign and usage.value.crl_sign


def leaf(specimen, made, issuer):
    authority_key = made.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    equal(authority_key.key_identifier, own.digest)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    equal(names.critical, len(made.subject.rdns) == 0)
    equal(sorted(names.value.get_values_for_type(x509.DNSName)), sorted(specimen["dns"]))
    equal(sorted(map(str, names.value.get_values_for_type(x509.IPAddress))), sorted(specimen["ips"]))
    equal(names.value.get_values_for_type(x509.UniformResourceIdentifier), specimen["uris"])
    equal(names.value.get_values_for_type(x509.RFC822Name), specimen["emails"])
    extended = set(made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    equal(extended, {USAGES[usage] for usage in specimen["usages"]})
    assert made.not_valid_after_utc <= issuer.not_valid_after_utc
    assert made.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert len(list(made.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value)) == 2
    path_validation(specimen, made)


def path_validation(specimen, made):
    """The library's own verifier, whose policy is that of browsers: only what it takes on principle."""
    chain = [specimen["issuer"]]
    while ISSUERS[chain[-1]] != chain[-1]:
        chain.append(ISSUERS[chain[-1]])
    usual = all("521" not in name and "pss" not in name and "ed25519" not in name for name in [*chain, specimen["name"]])
    if not usual or "client" not in specimen["usages"] or not specimen["dns"]:
        return
    verifier = (
        verification.PolicyBuilder()
        .store(verification.Store([CERTIFICATES[chain[-1]]]))
        .extension_policies(
            ca_policy=verification.ExtensionPolicy.webpki_defaults_ca(), ee_policy=verification.ExtensionPolicy.permit_all()
        )
        .build_client_verifier()
    )
    verifier.verify(made, [CERTIFICATES[name] for name in chain[:-1]])


def crl(specimen):
    issuer = CERTIFICATES[specimen["issuer"]]
    made = x509.load_der_x509_crl(read(specimen))
    assert made.is_signature_valid(issuer.public_key())
    equal(made.issuer, issuer.subject)
    assert made.next_update_utc > made.last_update_utc
    assert made.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number > 0
    authority_key = made.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    equal(authority_key.key_identifier, own.digest)
    oids = {extension.oid for extension in made.extensions}
    equal(x509.ExtensionOID.DELTA_CRL_INDICATOR in oids, specimen["delta"])
    if specimen["delta"]:
        indicator = made.extensions.get_extension_for_class(x509.DeltaCRLIndicator)
        assert indicator.critical
    revoked = CERTIFICATES.get(specimen["issuer"].replace("intermediate", "revoked"))
    listed = not specimen["name"].endswith(("-empty", "-root"))
    equal([entry.serial_number for entry in made], [revoked.serial_number] if listed else [])


def answer(specimen):
    issuer = CERTIFICATES[specimen["issuer"]]
    made = ocsp.load_der_ocsp_response(read(specimen))
    equal(made.response_status, ocsp.OCSPResponseStatus.SUCCESSFUL)
    signers = made.certificates or [issuer]
    verify(signers[0].public_key(), made)
    equal(made.certificate_status.name.lower(), specimen["status"])
    equal(made.serial_number, int(specimen["serial"].replace(":", ""), 16))
    assert made.next_update_utc > made.this_update_utc
    equal(made.revocation_time_utc is None, specimen["status"] != "revoked")
    nonces = [extension.value.nonce.hex() for extension in made.extensions if isinstance(extension.value, x509.OCSPNonce)]
    equal(nonces, [specimen["nonce"]] if specimen["nonce"] else [])


def main():
    failed = False
    for specimen in INDEX:
        if IS_OPENBAO and specimen.get("nonce"):
            print(f"skipped reading {specimen['name']}: OpenBao leaves out the nonce")
            continue
        try:
            {"certificate": certificate, "crl": crl, "ocsp": answer}[specimen["kind"]](specimen)
            print(f"ok reading {specimen['name']}")
        except Exception as error:  # pylint: disable=broad-except
            failed = True
            place = next(
                frame for frame in reversed(traceback.extract_tb(error.__traceback__)) if frame.filename == __file__
            )
            text = f"{type(error).__name__}: {error}".replace("\n", " ")
            print(f"FAILED reading {specimen['name']}, line {place.lineno}: {text}")
    sys.exit(failed)


main()
