"""hvac's system backend, tokens, AppRole and PKI; prints one line a check."""

import time

from hvac import exceptions as errors

from checks import MATERIAL, check, client, equal, raises, run

# The system backend.


@check
def health(c):
    equal(c.sys.read_health_status().status_code, 200)
    equal(c.sys.read_health_status(method="GET")["initialized"], True)
    equal(c.sys.read_health_status(method="GET", active_code=299).status_code, 299)


@check
def initialization(c):
    equal(c.sys.read_init_status()["initialized"], True)
    assert c.sys.is_initialized()
    assert not c.sys.is_sealed()
    assert "sealed" in c.seal_status
    assert "ha_enabled" in c.sys.read_leader_status()


@check
def authentication_methods(c):
    if "github/" in c.sys.list_auth_methods()["data"]:
        c.sys.disable_auth_method("github")
    c.sys.enable_auth_method("approle", path="tuned")
    assert "tuned/" in c.sys.list_auth_methods()
    assert "tuned/" in c.sys.list_auth_methods()["data"]
    answer = c.sys.tune_auth_method("tuned", description="mine", max_lease_ttl=12345678)
    equal(answer.status_code, 204)
    tune = c.sys.read_auth_method_tuning("tuned")["data"]
    equal((tune["max_lease_ttl"], tune["description"]), (12345678, "mine"))
    c.sys.disable_auth_method("tuned")
    assert "tuned/" not in c.sys.list_auth_methods()["data"]


@check
def mounts(c):
    c.sys.enable_secrets_engine("pki", path="test")
    assert "test/" in c.sys.list_mounted_secrets_engines()["data"]
    assert "test/" in c.sys.list_mounted_secrets_engines()
    tune = c.sys.read_mount_configuration("test")["data"]
    equal((tune["max_lease_ttl"], tune["default_lease_ttl"]), (2764800, 2764800))
    c.sys.tune_mount_configuration("test", default_lease_ttl="3600s", max_lease_ttl="8600s")
    tune = c.sys.read_mount_configuration("test")["data"]
    equal((tune["max_lease_ttl"], tune["default_lease_ttl"]), (8600, 3600))
    c.sys.move_backend("test", "foobar")
    for _ in range(50):
        if "test/" not in c.sys.list_mounted_secrets_engines()["data"]:
            break
        time.sleep(0.1)
    assert "foobar/" in c.sys.list_mounted_secrets_engines()["data"]
    c.sys.disable_secrets_engine("foobar")
    assert "foobar/" not in c.sys.list_mounted_secrets_engines()["data"]


@check
def policies(c):
    text = 'path "sys" { policy = "deny" }\npath "secret" { policy = "write" }'
    equal(c.sys.create_or_update_policy("test", text).status_code, 204)
    assert "test" in c.sys.list_policies()["policies"]
    assert "test" in c.sys.list_policies()["data"]["policies"]
    assert "test" in c.sys.list_policies()["keys"]
    equal(c.sys.read_policy("test")["data"]["rules"], text)
    equal(c.sys.read_policy("test")["rules"], text)
    c.sys.delete_policy("test")
    assert "test" not in c.sys.list_policies()["data"]["policies"]
    c.sys.create_or_update_policy("test", {"path": {"sys": {"policy": "deny"}}})
    assert '"deny"' in c.sys.read_policy("test")["data"]["rules"]
    c.sys.delete_policy("test")


@check
def acl_policies(c):
    text = 'path "auth/*" { capabilities = ["read"] }'
    c.sys.create_or_update_acl_policy("test", text)
    data = c.sys.read_acl_policy("test")["data"]
    equal({"name": data["name"], "policy": data["policy"]}, {"name": "test", "policy": text})
    assert "test" in c.sys.list_acl_policies()["data"]["keys"]
    c.sys.delete_acl_policy("test")
    raises(errors.InvalidPath, c.sys.read_acl_policy, "test")


@check
def acl_policy_has_name_and_text_only(c):
    c.sys.create_or_update_acl_policy("test", 'path "a" { policy = "read" }')
    fields = sorted(c.sys.read_acl_policy("test")["data"])
    c.sys.delete_acl_policy("test")
    if "cas_required" in fields:
        return "OpenBao has more"
    equal(fields, ["name", "policy"])


@check
def capabilities(c):
    equal(c.sys.get_capabilities(["sys/x"])["data"]["capabilities"], ["root"])
    made = c.auth.token.create(policies=["default"])["auth"]
    found = c.sys.get_capabilities(["sys/x"], token=made["client_token"])
    equal(found["data"]["capabilities"], ["deny"])
    found = c.sys.get_capabilities(["auth/token/lookup-self"], accessor=made["accessor"])
    equal(found["data"]["capabilities"], ["read"])


@check
def wrapping(c):
    wrapped = c.sys.wrap({"a": "b"}, ttl=60)
    equal(wrapped["wrap_info"]["ttl"], 60)
    equal(c.sys.unwrap(wrapped["wrap_info"]["token"])["data"], {"a": "b"})
    raises(errors.InvalidRequest, c.sys.unwrap, wrapped["wrap_info"]["token"])


@check
def wrapping_with_own_token(c):
    token = c.sys.wrap({"a": "b"}, ttl=60)["wrap_info"]["token"]
    equal(client(token).sys.unwrap()["data"], {"a": "b"})
    raises((errors.InvalidRequest, errors.Forbidden), client(token).sys.unwrap)


@check
def wrapping_of_a_token(c):
    answer = c.write_data("auth/token/create", data={"policies": ["default"]}, wrap_ttl="1m")
    equal(client(answer["wrap_info"]["token"]).sys.unwrap()["auth"]["policies"], ["default"])


@check
def rotation(c):
    before = c.sys.get_encryption_key_status()["term"]
    c.sys.rotate_encryption_key()
    equal(c.sys.get_encryption_key_status()["term"], before + 1)


@check
def generation_of_a_root_token(c):
    try:
        assert not c.sys.read_root_generation_progress()["started"]
    except errors.UnexpectedError as error:
        return f"not served without a token: {error}"
    started = c.sys.start_root_token_generation()
    assert started["started"] and started["nonce"] and started["otp"]
    equal(len(started["otp"]), started["otp_length"])
    assert c.sys.read_root_generation_progress()["started"]
    c.sys.cancel_root_generation()
    assert not c.sys.read_root_generation_progress()["started"]


@check
def rekeying(c):
    try:
        assert not c.sys.read_rekey_progress()["started"]
    except errors.UnexpectedError as error:
        return f"not served without a token: {error}"
    assert c.sys.start_rekey(secret_shares=1, secret_threshold=1)["started"]
    c.sys.cancel_rekey()
    assert not c.sys.read_rekey_progress()["started"]
    raises(errors.InvalidRequest, c.sys.read_backup_keys)


@check
def audit(c):
    try:
        c.sys.enable_audit_device("file", path="tmpfile", options={"path": "/dev/null"})
    except errors.InvalidRequest as error:
        return f"not served: {error}"
    assert "tmpfile/" in c.sys.list_enabled_audit_devices()["data"]
    assert "tmpfile/" in c.sys.list_enabled_audit_devices()
    found = c.sys.calculate_hash("tmpfile", "secret")
    assert found["data"]["hash"].startswith("hmac-sha256:")
    raises(errors.InvalidRequest, c.sys.calculate_hash, "nope", "x", text="unknown audit backend")
    c.sys.disable_audit_device("tmpfile")
    assert "tmpfile/" not in c.sys.list_enabled_audit_devices()["data"]


@check
def leases(c):
    with authority(c, "leased") as mount:
        c.secrets.pki.create_or_update_role(
            "lease", {"allow_any_name": True, "key_type": "ec", "generate_lease": True, "ttl": "1h"}, mount
        )
        issued = c.secrets.pki.generate_certificate("lease", "a.example.com", mount_point=mount)
        equal(c.sys.read_lease(issued["lease_id"])["data"]["id"], issued["lease_id"])
        equal(c.sys.list_leases(mount)["data"]["keys"], ["issue/"])
        raises(errors.InvalidRequest, c.sys.renew_lease, issued["lease_id"], text="lease is not renewable")
        c.sys.revoke_lease(issued["lease_id"])
        raises(errors.InvalidPath, c.sys.list_leases, mount)
        c.secrets.pki.generate_certificate("lease", "a.example.com", mount_point=mount)
        assert c.sys.revoke_prefix(mount)
        assert c.sys.revoke_force(mount)


# Tokens.


@check
def tokens(c):
    made = c.auth.token.create(ttl="1h", policies=["default"])["auth"]
    equal(c.auth.token.lookup(made["client_token"])["data"]["id"], made["client_token"])
    equal(c.auth.token.renew(made["client_token"])["auth"]["client_token"], made["client_token"])
    equal(c.auth.token.lookup_accessor(made["accessor"])["data"]["id"], "")
    c.auth.token.revoke(made["client_token"])
    raises((errors.Forbidden, errors.InvalidPath, errors.InvalidRequest), c.auth.token.lookup, made["client_token"])


@check
def own_token(c):
    own = client(c.auth.token.create(ttl="1h", policies=["default"])["auth"]["client_token"])
    assert own.is_authenticated()
    equal(own.auth.token.lookup_self()["data"]["type"], "service")
    own.auth.token.renew_self(increment="30m")
    own.logout(revoke_token=True)
    assert not own.is_authenticated()
    raises((errors.Forbidden, errors.InvalidRequest), client("").auth.token.lookup_self, text="permission denied")


@check
def token_accessors(c):
    made = c.auth.token.create(policies=["default"])["auth"]
    assert made["accessor"] in c.auth.token.list_accessors()["data"]["keys"]
    c.auth.token.revoke_accessor(made["accessor"])
    raises(errors.InvalidRequest, c.auth.token.lookup_accessor, made["accessor"])
    raises(errors.Forbidden, c.auth.token.lookup, made["client_token"])


@check
def orphans(c):
    parent = client(c.auth.token.create(ttl="1h")["auth"]["client_token"])
    orphan = parent.auth.token.create_orphan(ttl="1h")["auth"]["client_token"]
    child = parent.auth.token.create(ttl="1h")["auth"]["client_token"]
    c.auth.token.revoke(parent.token)
    assert client(orphan).is_authenticated()
    assert not client(child).is_authenticated()


@check
def orphaned_children_survive(c):
    parent = client(c.auth.token.create(ttl="1h")["auth"]["client_token"])
    child = parent.auth.token.create(ttl="1h")["auth"]["client_token"]
    c.auth.token.revoke_and_orphan_children(parent.token)
    assert client(child).is_authenticated()


@check
def token_lifetimes(c):
    capped = c.auth.token.create(explicit_max_ttl="5m")["auth"]
    equal(capped["lease_duration"], 300)
    equal(c.auth.token.lookup(capped["client_token"])["data"]["explicit_max_ttl"], 300)
    periodic = c.auth.token.create(period="30m")["auth"]
    equal(periodic["lease_duration"], 1800)
    equal(c.auth.token.lookup(periodic["client_token"])["data"]["period"], 1800)
    wrapped = c.auth.token.create(period="30m", wrap_ttl="15m")
    equal((wrapped["auth"], wrapped["wrap_info"]["ttl"]), (None, 900))
    equal(c.sys.unwrap(wrapped["wrap_info"]["token"])["auth"]["lease_duration"], 1800)


@check
def token_roles(c):
    raises(errors.InvalidPath, c.auth.token.list_roles)
    equal(c.auth.token.create_or_update_role("testrole", allowed_policies=["testpolicy"]).status_code, 204)
    equal(c.auth.token.read_role("testrole")["data"]["name"], "testrole")
    equal(c.auth.token.list_roles()["data"]["keys"], ["testrole"])
    made = c.auth.token.create(role_name="testrole")["auth"]
    equal(made["policies"], ["default", "testpolicy"])
    equal(c.auth.token.delete_role("testrole").status_code, 204)


# AppRole.


@check
def approle(c):
    c.sys.enable_auth_method("approle", path="machines")
    api = c.auth.approle
    raises(errors.InvalidPath, api.list_roles, mount_point="machines")
    for kind in ("service", "batch", "default", ""):
        answer = api.create_or_update_approle(
            "r", token_policies=["default"], token_type=kind or None, mount_point="machines"
        )
        equal(answer.status_code, 204)
    raises(errors.ParamValidationError, api.create_or_update_approle, "r", token_type="bad", mount_point="machines")
    api.create_or_update_approle("r", token_type="default", mount_point="machines")
    equal(api.list_roles(mount_point="machines")["data"]["keys"], ["r"])
    equal(api.read_role("r", mount_point="machines")["data"]["token_type"], "default")
    role_id = api.read_role_id("r", mount_point="machines")["data"]["role_id"]
    made = api.generate_secret_id("r", metadata={"a": "b"}, cidr_list=["127.0.0.1/32"], mount_point="machines")["data"]
    found = api.read_secret_id("r", made["secret_id"], mount_point="machines")["data"]
    equal((found["cidr_list"], found["metadata"]), (["127.0.0.1/32"], {"a": "b"}))
    found = api.read_secret_id_accessor("r", made["secret_id_accessor"], mount_point="machines")["data"]
    equal(found["secret_id_accessor"], made["secret_id_accessor"])
    equal(len(api.list_secret_id_accessors("r", mount_point="machines")["data"]["keys"]), 1)
    other = client("")
    auth = other.auth.approle.login(role_id, made["secret_id"], mount_point="machines")["auth"]
    equal(other.token, auth["client_token"])
    assert auth["orphan"] and auth["metadata"]["role_name"] == "r"
    equal(other.auth.approle.login(role_id, made["secret_id"], use_token=False, mount_point="machines") is None, False)
    equal(other.token, auth["client_token"])
    equal(api.destroy_secret_id("r", made["secret_id"], mount_point="machines").status_code, 204)
    equal(api.read_secret_id("r", made["secret_id"], mount_point="machines").status_code, 204)
    raises(errors.InvalidRequest, other.auth.approle.login, role_id, made["secret_id"], mount_point="machines")
    equal(api.create_custom_secret_id("r", "own-secret", mount_point="machines")["data"]["secret_id"], "own-secret")
    wrapped = api.generate_secret_id("r", wrap_ttl="5m", mount_point="machines")
    equal(wrapped["wrap_info"]["ttl"], 300)
    made = api.generate_secret_id("r", mount_point="machines")["data"]
    answer = api.destroy_secret_id_accessor("r", made["secret_id_accessor"], mount_point="machines")
    equal(answer.status_code, 204)
    raises(
        (errors.InvalidPath, errors.InvalidRequest),
        api.read_secret_id_accessor,
        "r",
        made["secret_id_accessor"],
        mount_point="machines",
    )
    api.update_role_id("r", "chosen", mount_point="machines")
    equal(api.read_role_id("r", mount_point="machines")["data"]["role_id"], "chosen")
    api.delete_role("r", mount_point="machines")
    raises(errors.InvalidPath, api.read_role, "r", mount_point="machines")
    c.sys.disable_auth_method("machines")


# PKI.


class authority:
    """A mount with a root."""

    def __init__(self, c, mount):
        self.c, self.mount = c, mount

    def __enter__(self):
        self.c.sys.enable_secrets_engine("pki", path=self.mount, config={"max_lease_ttl": "87600h"})
        self.c.secrets.pki.generate_root(
            "internal", f"{self.mount} root", {"key_type": "ec", "ttl": "8760h"}, mount_point=self.mount
        )
        return self.mount

    def __exit__(self, *_):
        self.c.sys.disable_secrets_engine(self.mount)


@check
def pki_reading(c):
    api = c.secrets.pki
    with authority(c, "reading") as mount:
        pem = api.read_ca_certificate(mount)
        assert isinstance(pem, str) and pem.startswith("-----BEGIN CERTIFICATE-----"), pem
        assert api.read_ca_certificate_chain(mount).startswith("-----BEGIN CERTIFICATE-----")
        serial = api.list_certificates(mount)["data"]["keys"][0]
        equal(api.read_certificate(serial, mount)["data"]["certificate"].strip(), pem.strip())
        assert "certificate" in api.read_certificate("ca", mount)["data"]
        raises(errors.InvalidPath, api.read_certificate, "00:11", mount)
        assert "BEGIN X509 CRL" in api.read_crl(mount)
        equal(api.rotate_crl(mount)["data"]["success"], True)


@check
def pki_configuration(c):
    api = c.secrets.pki
    with authority(c, "configured") as mount:
        equal(api.read_crl_configuration(mount)["data"]["expiry"], "72h")
        api.set_crl_configuration("24h", False, mount_point=mount)
        equal(api.read_crl_configuration(mount)["data"]["expiry"], "24h")
        api.set_urls({"issuing_certificates": ["http://example.com/ca"]}, mount)
        equal(api.read_urls(mount)["data"]["issuing_certificates"], ["http://example.com/ca"])
        equal(api.submit_ca_information((MATERIAL / "bundle.pem").read_text(), mount)["data"]["existing_keys"], None)


@check
def pki_issuing(c):
    api = c.secrets.pki
    with authority(c, "issuing") as mount:
        raises(errors.InvalidPath, api.list_roles, mount)
        api.create_or_update_role("r", {"allow_any_name": True, "key_type": "any", "ttl": "1h"}, mount)
        equal(api.list_roles(mount)["data"]["keys"], ["r"])
        equal(api.read_role("r", mount)["data"]["ttl"], 3600)
        request = (MATERIAL / "ec.csr").read_text()
        signed = api.sign_certificate("r", request, "ec.example.com", mount_point=mount)["data"]
        assert signed["certificate"].startswith("-----BEGIN")
        verbatim = api.sign_verbatim(request, "r", mount_point=mount)["data"]
        assert verbatim["certificate"].startswith("-----BEGIN")
        issued = api.generate_certificate("r", "a.example.com", {"key_type": "ec"}, mount)["data"]
        assert issued["private_key"].startswith("-----BEGIN")
        assert api.revoke_certificate(issued["serial_number"], mount)["data"]["revocation_time"] > 0
        raises(
            errors.InvalidRequest, api.sign_certificate, "nope", request, "x", mount_point=mount, text="unknown role"
        )
        equal(api.tidy(mount_point=mount).status_code, 202)
        equal(api.delete_role("r", mount).status_code, 204)


@check
def pki_intermediate(c):
    api = c.secrets.pki
    with authority(c, "top") as top:
        c.sys.enable_secrets_engine("pki", path="middle")
        csr = api.generate_intermediate("internal", "Middle", {"key_type": "ec"}, mount_point="middle")["data"]["csr"]
        signed = api.sign_intermediate(csr, "Middle", mount_point=top)["data"]["certificate"]
        api.set_signed_intermediate(signed, mount_point="middle")
        assert api.read_ca_certificate("middle").startswith("-----BEGIN")
        api.sign_self_issued((MATERIAL / "root.pem").read_text(), mount_point=top)
        c.sys.disable_secrets_engine("middle")


@check
def pki_issuers(c):
    api = c.secrets.pki
    with authority(c, "several") as mount:
        issuer = api.list_issuers(mount)["data"]["keys"][0]
        equal(api.read_issuer(issuer, mount)["data"]["issuer_id"], issuer)
        api.update_issuer(issuer, {"issuer_name": "named"}, mount)
        equal(api.read_issuer("named", mount)["data"]["issuer_name"], "named")
        equal(api.revoke_issuer("named", mount)["data"]["revoked"], True)
        api.delete_issuer("named", mount)
        raises(errors.InternalServerError, api.read_issuer, issuer, mount)
        api.delete_root(mount)


run()
