"""Lints every specimen with pkilint; each finding must have its row in docs/lint-findings.md.

    check.py SPECIMENS [--all]

Prints a line for each specimen. With --all, findings that have a row are printed too.
"""

import fnmatch
import json
import os
import pathlib
import re
import sys

from pyasn1_alt_modules import rfc5280
from pkilint import document, loader, pkix, validation
from pkilint.pkix import algorithm, certificate, crl, extension, key, name, ocsp
from pkilint.pkix.certificate import certificate_extension, certificate_key

FINDINGS = pathlib.Path(__file__).parents[2] / "docs/lint-findings.md"
# What is less severe is a remark; the smaller number is the more severe.
REPORTED = validation.ValidationFindingSeverity.NOTICE


def attributes():
    return [pkix.create_attribute_decoder(name.ATTRIBUTE_TYPE_MAPPINGS),
            pkix.create_extension_decoder(extension.EXTENSION_MAPPINGS)]


CERTIFICATE = certificate.create_pkix_certificate_validator_container(
    certificate.create_decoding_validators(name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS),
    [
        certificate.create_issuer_validator_container([]),
        certificate.create_validity_validator_container(),
        certificate.create_subject_validator_container([]),
        certificate.create_extensions_validator_container([]),
        certificate.create_spki_validator_container([]),
    ],
)
CRL = crl.create_pkix_crl_validator_container(
    attributes(),
    [
        crl.create_issuer_validator_container([]),
        crl.create_validity_validator_container([]),
        crl.create_extensions_validator_container([]),
    ],
)
OCSP = ocsp.create_pkix_ocsp_response_validator_container(
    [ocsp.create_response_decoder(), *attributes()], []
)
CHAIN_DECODING = validation.ValidatorContainer(
    validators=[
        *attributes(),
        pkix.create_signature_algorithm_identifier_decoder(
            algorithm.SIGNATURE_ALGORITHM_IDENTIFIER_MAPPINGS, path="certificate.tbsCertificate.signature"
        ),
        certificate.create_spki_decoder(
            key.SUBJECT_PUBLIC_KEY_ALGORITHM_IDENTIFIER_MAPPINGS,
            key.SUBJECT_KEY_PARAMETER_ALGORITHM_IDENTIFIER_MAPPINGS,
        ),
    ],
    path="certificate",
)
CHAIN_ISSUER = validation.ValidatorContainer(
    validators=[
        name.IssuerSubjectNameBinaryEqualValidator(
            path="certificate.tbsCertificate.subject",
            subject_document_issuer_dn_path="subject:certificate.tbsCertificate.issuer",
        ),
        extension.IssuerSubjectKeyIdentifierBinaryEqualValidator(
            subject_auth_key_id_retriever=lambda node: document.get_document_by_name(
                node, "subject"
            ).get_extension_by_oid(rfc5280.id_ce_authorityKeyIdentifier)
        ),
        certificate_extension.IssuerSubjectPolicyChainValidator(),
    ]
)
CHAIN_SUBJECT = validation.ValidatorContainer(
    validators=[
        certificate_key.SubjectSignatureVerificationValidator(
            tbs_node_retriever=lambda node: node.navigate("^.tbsCertificate"), path="certificate.signature"
        )
    ]
)


def lint(specimen, folder, files):
    der = (folder / specimen["file"]).read_bytes()
    if specimen["kind"] == "crl":
        return CRL.validate(loader.RFC5280CertificateListDocumentLoader().load_document(der, "crl").root)
    if specimen["kind"] == "ocsp":
        return OCSP.validate(loader.RFC6960OCSPResponseDocumentLoader().load_document(der, "ocsp").root)
    load = loader.RFC5280CertificateDocumentLoader().load_document
    results = CERTIFICATE.validate(load(der, "certificate").root)
    documents = {}
    for role, file in (("issuer", files[specimen["issuer"]]), ("subject", specimen["file"])):
        documents[role] = load((folder / file).read_bytes(), role, role, documents)
    results += CHAIN_DECODING.validate(documents["issuer"].root)
    results += CHAIN_DECODING.validate(documents["subject"].root)
    results += CHAIN_ISSUER.validate(documents["issuer"].root)
    results += CHAIN_SUBJECT.validate(documents["subject"].root)
    return results


def findings(results):
    for result in results:
        for finding in result.finding_descriptions:
            if finding.finding.severity <= REPORTED:
                yield finding.finding.code, f"{finding.finding.severity.name} {finding.finding.code}: {finding.message}"


def accepted():
    """Code and patterns of names of each row; both stand between backticks."""
    for line in FINDINGS.read_text().splitlines():
        cells = line.split("|")
        if len(cells) > 3 and "`" in cells[1]:
            code, = re.findall("`(.*?)`", cells[1])
            yield code, re.findall("`(.*?)`", cells[2])


def main():
    folder = pathlib.Path(sys.argv[1])
    show_all = "--all" in sys.argv
    index = json.loads((folder / "index.json").read_text())
    files = {specimen["name"]: specimen["file"] for specimen in index}
    rows = list(accepted())
    used = set()
    failed = False
    for specimen in index:
        if specimen["kind"] == "ocsp" and os.environ.get("CONFORMANCE_AGAINST") == "openbao":
            print(f"skipped {specimen['name']}: OpenBao writes an empty list of extensions, which is no DER")
            continue
        unexplained, explained = set(), set()
        for code, text in findings(lint(specimen, folder, files)):
            matching = [
                number for number, (known, patterns) in enumerate(rows)
                if known == code and any(fnmatch.fnmatchcase(specimen["name"], pattern) for pattern in patterns)
            ]
            used.update(matching)
            (explained if matching else unexplained).add(text)
        failed |= bool(unexplained)
        if unexplained:
            print(f"FAILED {specimen['name']}: {' / '.join(sorted(unexplained))}")
        else:
            print(f"ok {specimen['name']}")
        if show_all:
            for text in sorted(explained):
                print(f"    {text}")
    for number, (code, patterns) in enumerate(rows):
        if number not in used:
            failed = True
            print(f"FAILED docs/lint-findings.md: {code} is not found any more in {', '.join(patterns)}")
    sys.exit(failed)


main()
