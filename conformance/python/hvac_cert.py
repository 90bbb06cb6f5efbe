"""hvac's logins with client certificates, at a server of their own; prints one line a check."""

import os
import sys
import tempfile
import warnings

from cryptography import x509
from hvac import exceptions as errors

from checks import IS_OPENBAO, MISTAKE, check, equal, has, raises, run
from issuers import Authority, pem
from listener import TOKEN, TlsServer

# A certificate's file in the place of the certificate itself is hvac's old way, and tried too.
warnings.simplefilter("ignore")

SCRATCH = tempfile.TemporaryDirectory()
AUTHORITY = Authority(SCRATCH.name, "Clients")
CERTIFICATE, FILES = AUTHORITY.issue("web", unit="shop", names=[x509.DNSName("web.example.com")])
NONE = "no client certificate found"
UNKNOWN = "invalid certificate or no client certificate supplied"
NO_CHAIN = "no chain matching all constraints could be found for this login certificate"


def over_tls(function):
    """A check with the root's client and the method mounted, and a client of the common server."""

    def mounted(common):
        root = SERVER.client(TOKEN)
        root.sys.enable_auth_method("cert")
        try:
            function(root, common)
        finally:
            root.sys.disable_auth_method("cert")

    mounted.__name__ = function.__name__
    return check(mounted)


def login(files, **named):
    """Logs in with certificate and key as hvac's documentation has it; gives the client and the answer."""
    c = SERVER.client()
    certificate, key = files
    return c, c.auth.cert.login(cert_pem=certificate, key_pem=key, **named)["auth"]


def refused(files, text, **named):
    raises(errors.InvalidRequest, login, files, text=text, **named)


@over_tls
def cert_roles(c, _):
    api = c.auth.cert
    raises(errors.InvalidPath, api.list_certificate_roles)
    raises(errors.InvalidPath, api.read_ca_certificate_role, "web")
    equal(api.create_ca_certificate_role("web", certificate=AUTHORITY.pem).status_code, 204)
    api.create_ca_certificate_role("file", certificate_file=FILES[0])
    api.create_ca_certificate_role("old", certificate=FILES[0])
    raises(errors.ParamValidationError, api.create_ca_certificate_role, "web")
    raises(MISTAKE, c.write_data, "auth/cert/certs/x", data={"certificate": "x"}, text="failed to parse certificate")
    equal(api.list_certificate_roles()["data"]["keys"], ["file", "old", "web"])
    has(api.read_ca_certificate_role("web")["data"], display_name="web", certificate=AUTHORITY.pem, token_ttl=0)
    api.create_ca_certificate_role(
        "web",
        certificate=AUTHORITY.pem,
        allowed_common_names=["a*", "b"],
        allowed_dns_sans="x.example.com,y.example.com",
        display_name="shown",
        token_policies=["one"],
        token_ttl=1200,
        token_max_ttl="1h",
        token_type="service",
    )
    has(
        api.read_ca_certificate_role("web")["data"],
        allowed_common_names=["a*", "b"],
        allowed_dns_sans=["x.example.com", "y.example.com"],
        display_name="shown",
        token_policies=["one"],
        token_ttl=1200,
        token_max_ttl=3600,
        token_type="service",
    )
    equal(api.delete_certificate_role("web").status_code, 204)
    equal(api.list_certificate_roles()["data"]["keys"], ["file", "old"])


@over_tls
def cert_logins(c, _):
    api = c.auth.cert
    api.create_ca_certificate_role(
        "web", certificate=AUTHORITY.pem, display_name="shown", token_policies=["one"], token_ttl=1200
    )
    own, auth = login(FILES, name="web")
    equal((own.token, auth["policies"], auth["lease_duration"]), (auth["client_token"], ["default", "one"], 1200))
    equal(auth["metadata"]["cert_name"], "web")
    equal(auth["metadata"]["common_name"], "web")
    equal(auth["metadata"]["serial_number"], str(CERTIFICATE.serial_number))
    key = x509.SubjectKeyIdentifier.from_public_key(CERTIFICATE.public_key()).digest
    equal(auth["metadata"]["subject_key_id"], key.hex(":"))
    key = x509.SubjectKeyIdentifier.from_public_key(AUTHORITY.key.public_key()).digest
    equal(auth["metadata"]["authority_key_id"], key.hex(":"))
    equal(own.lookup_token()["data"]["display_name"], "cert-shown")
    # Without a name any role that fits; with a client's own pair in place of the call's.
    equal(login(FILES)[1]["metadata"]["cert_name"], "web")
    paired = SERVER.client(files=FILES)
    equal(paired.auth.cert.login(use_token=False)["auth"]["metadata"]["cert_name"], "web")
    assert not paired.is_authenticated()
    stranger = Authority(SCRATCH.name, "Strangers").issue("web")[1]
    refused(stranger, UNKNOWN)
    refused(FILES, UNKNOWN, name="none")
    raises(errors.InvalidRequest, c.write_data, "auth/cert/login", data={"name": "web"}, text=NONE)
    # What is meant for servers does not log in.
    raises(MISTAKE, login, AUTHORITY.issue("web", "server")[1])
    raises(FileNotFoundError, login, ("/no/such/file", "/no/such/file"))
    raises(c.auth.cert.CertificateAuthError, unverified().auth.cert.login, cert_pem=FILES[0], key_pem=FILES[1])


def unverified():
    made = SERVER.client()
    made._adapter._kwargs["verify"] = False  # pylint: disable=protected-access
    return made


@over_tls
def cert_constraints(c, _):
    api = c.auth.cert
    other = AUTHORITY.issue("api", unit="bank", names=[x509.RFC822Name("a@example.com")])[1]
    workload = "spiffe://cluster.local/ns/shop/sa/web"
    third = AUTHORITY.issue("third", names=[x509.UniformResourceIdentifier(workload)])[1]
    for given, allowed, denied in [
        ({"allowed_common_names": "w*"}, FILES, other),
        ({"allowed_dns_sans": "*.example.com"}, FILES, other),
        ({"allowed_email_sans": "*@example.com"}, other, FILES),
        ({"allowed_uri_sans": "spiffe://cluster.local/*"}, third, FILES),
        ({"allowed_organizational_units": "shop"}, FILES, other),
    ]:
        api.create_ca_certificate_role("r", certificate=AUTHORITY.pem, **given)
        equal(login(allowed)[1]["metadata"]["cert_name"], "r")
        refused(denied, NO_CHAIN)
        api.delete_certificate_role("r")


@over_tls
def cert_pinned(c, _):
    """A certificate that is no authority's is meant itself."""
    c.auth.cert.create_ca_certificate_role("web", certificate=pem(CERTIFICATE))
    equal(login(FILES)[1]["metadata"]["cert_name"], "web")
    refused(AUTHORITY.issue("web", unit="shop")[1], UNKNOWN)


@over_tls
def cert_revoked(c, _):
    """hvac has no calls for lists of revoked certificates but the generic ones."""
    c.auth.cert.create_ca_certificate_role("web", certificate=AUTHORITY.pem)
    gone, files = AUTHORITY.issue("gone")
    own = login(files)[0]
    equal(c.list("auth/cert/crls"), None)
    c.write_data("auth/cert/crls/clients", data={"crl": AUTHORITY.crl(gone)})
    equal(c.list("auth/cert/crls")["data"]["keys"], ["clients"])
    equal(c.read("auth/cert/crls/clients")["data"]["serials"], {str(gone.serial_number): {}})
    refused(files, NO_CHAIN)
    login(FILES)
    holder = SERVER.client(own.token, files)
    raises(MISTAKE, holder.auth.token.renew_self)
    raises(MISTAKE, c.write_data, "auth/cert/crls/x", data={"crl": "x"}, text="failed to parse CRL")
    raises(MISTAKE, c.write_data, "auth/cert/crls/x", data={}, text="one of 'crl' or 'url' must be provided")
    raises(MISTAKE, c.read, "auth/cert/crls/x", text="no such CRL x")
    c.delete("auth/cert/crls/clients")
    login(files)
    holder.auth.token.renew_self()


@over_tls
def cert_responders(c, common):
    """A PKI mount of another server says over OCSP, and by a list that is fetched, who was taken back."""
    mount = "clients"
    url = f"{common.url}/v1/{mount}"
    common.sys.enable_secrets_engine("pki", path=mount)
    try:
        api = common.secrets.pki
        root = api.generate_root("internal", "Clients", {"key_type": "ec"}, mount_point=mount)["data"]["certificate"]
        api.set_urls({"ocsp_servers": [f"{url}/ocsp"]}, mount)
        api.create_or_update_role("any", {"allow_any_name": True, "key_type": "ec", "ttl": "1h"}, mount)
        good, gone = (issued(api, mount, name) for name in ("good", "gone"))
        api.revoke_certificate(gone[0], mount)
        role = {"certificate": root, "ocsp_enabled": True}
        c.write_data("auth/cert/certs/web", data=role)
        login(good[1])
        refused(gone[1], NO_CHAIN)
        # Nobody is at port 9.
        c.write_data("auth/cert/certs/web", data={**role, "ocsp_servers_override": ["http://127.0.0.1:9/ocsp"]})
        refused(good[1], f"{NO_CHAIN}; additionally got errors during verification")
        c.write_data("auth/cert/certs/web", data={**role, "ocsp_enabled": False})
        login(gone[1])
        c.write_data("auth/cert/crls/clients", data={"url": f"{url}/crl"})
        equal(c.read("auth/cert/crls/clients")["data"]["cdp"]["url"], f"{url}/crl")
        login(good[1])
        refused(gone[1], NO_CHAIN)
    finally:
        common.sys.disable_secrets_engine(mount)


def issued(api, mount, name):
    """Serial number, and the files of certificate and key."""
    made = api.generate_certificate("any", name, mount_point=mount)["data"]
    files = []
    for part in ("certificate", "private_key"):
        files.append(os.path.join(SCRATCH.name, f"{name}-{part}.pem"))
        with open(files[-1], "w", encoding="ascii") as file:
            file.write(made[part] + "\n")
    return made["serial_number"], files


@over_tls
def cert_renewal(c, _):
    """A token is renewed with the certificate that it was made with."""
    c.auth.cert.create_ca_certificate_role("web", certificate=AUTHORITY.pem, token_policies=["one"])
    own = login(FILES)[0]
    equal(SERVER.client(own.token, FILES).auth.token.renew_self()["auth"]["client_token"], own.token)
    other = AUTHORITY.issue("web", unit="shop")[1]
    text = "client identity during renewal not matching client identity used during login"
    raises(MISTAKE, SERVER.client(own.token, other).auth.token.renew_self, text=text)
    raises(MISTAKE, own.auth.token.renew_self)
    equal(c.auth.cert.configure_tls_certificate(disable_binding=True).status_code, 204)
    has(c.read("auth/cert/config")["data"], disable_binding=True)
    own.auth.token.renew_self()
    c.auth.cert.configure_tls_certificate()
    raises(MISTAKE, own.auth.token.renew_self)
    # Whose policies are others now is not the one who logged in.
    c.auth.cert.create_ca_certificate_role("web", certificate=AUTHORITY.pem, token_policies=["two"])
    raises(MISTAKE, SERVER.client(own.token, FILES).auth.token.renew_self, text="policies have changed, not renewing")
    c.auth.cert.delete_certificate_role("web")
    renew = SERVER.client(own.token, FILES).auth.token.renew_self
    if IS_OPENBAO:
        # Not renewed either, and no word of it.
        equal(renew().status_code, 204)
    else:
        raises(errors.InvalidRequest, renew)


if "CONFORMANCE_SERVER" not in os.environ:
    print("skipped logins with client certificates: they need a server of their own, and no program is named")
    sys.exit()
with TlsServer(os.environ["CONFORMANCE_SERVER"]) as SERVER:
    run()
