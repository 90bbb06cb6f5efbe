"""hvac's logins with signed tokens: public keys, key sets, discovery; prints one line a check."""

import tempfile
import time

from hvac import exceptions as errors

from checks import MISTAKE, check, client, equal, has, method, raises, run
from issuers import Authority, Endpoint, Signer

SCRATCH = tempfile.TemporaryDirectory()
SIGNER = Signer("ES256", "first")
OTHER = Signer("RS256", "second")
ISSUER = "https://issuer.example.com"


def jwt(**claims):
    return SIGNER.token(**{"iss": ISSUER, "sub": "ci", "aud": "signet", "project": "shop/web"} | claims)


def refused_jwts(api, role, refusals):
    for token, text in refusals:
        raises(errors.InvalidRequest, api.jwt_login, role, token, use_token=False, text=text)


@check
def jwt_with_public_keys(c):
    api = c.auth.jwt
    with method(c, "jwt"):
        raises(errors.InvalidRequest, api.configure, jwks_url="https://x", jwt_validation_pubkeys=[SIGNER.pem])
        equal(api.configure(jwt_validation_pubkeys=[SIGNER.pem, OTHER.pem], bound_issuer=ISSUER).status_code, 204)
        shown = api.read_config()["data"]
        equal([key.strip() for key in shown["jwt_validation_pubkeys"]], [SIGNER.pem.strip(), OTHER.pem.strip()])
        has(shown, bound_issuer=ISSUER, default_role="", jwks_url="", oidc_discovery_url="")
        raises(errors.InvalidPath, api.list_roles)
        answer = api.create_role(
            "ci",
            user_claim="sub",
            allowed_redirect_uris=[],
            bound_audiences=["signet"],
            bound_claims={"project": "shop/*"},
            bound_claims_type="glob",
            claim_mappings={"project": "from"},
            token_policies=["one"],
            token_ttl="10m",
        )
        equal(answer.status_code, 204)
        equal(api.list_roles()["data"]["keys"], ["ci"])
        has(
            api.read_role("ci")["data"],
            role_type="jwt",
            user_claim="sub",
            bound_audiences=["signet"],
            bound_claims={"project": "shop/*"},
            token_policies=["one"],
            token_ttl=600,
        )
        own = client("")
        auth = own.auth.jwt.jwt_login("ci", jwt())["auth"]
        equal((own.token, auth["policies"], auth["lease_duration"]), (auth["client_token"], ["default", "one"], 600))
        equal(auth["metadata"], {"role": "ci", "from": "shop/web"})
        equal(own.lookup_token()["data"]["display_name"], "jwt-ci")
        own.auth.token.renew_self()
        second = OTHER.token(iss=ISSUER, sub="ci", aud=["x", "signet"], project="shop/api")
        equal(client("").auth.jwt.jwt_login("ci", second)["auth"]["metadata"]["from"], "shop/api")
        now = int(time.time())
        head, body, signature = jwt().split(".")
        refused_jwts(
            client("").auth.jwt,
            "ci",
            [
                (
                    jwt(aud="another"),
                    "invalid audience (aud) claim: audience claim does not match any expected audience",
                ),
                (jwt(aud=None), "invalid audience (aud) claim"),
                (jwt(iss="https://other.example.com"), "invalid issuer (iss) claim"),
                (jwt(exp=now - 3600), "invalid expiration time (exp) claim: token is expired"),
                (jwt(nbf=now + 3600), "invalid not before (nbf) claim: token not yet valid"),
                (
                    jwt(iat=None, nbf=None, exp=None),
                    "no issued at (iat), not before (nbf), or expiration time (exp) claims in token",
                ),
                (
                    jwt(project="other/web"),
                    'error validating claims: claim "project" does not match any associated bound claim values',
                ),
                (jwt(project=None), 'error validating claims: claim "project" is missing'),
                (jwt(sub=None), 'claim "sub" not found in token'),
                (
                    Signer("ES256", "first").token(iss=ISSUER, sub="ci", aud="signet"),
                    "no known key successfully validated the token signature",
                ),
                (f"{head}.{body}.{signature[::-1]}", "error validating token"),
                (f"{head}.{body}", "error validating token"),
                ("", "missing token"),
            ],
        )
        raises(
            errors.InvalidRequest, client("").auth.jwt.jwt_login, "none", jwt(), text='role "none" could not be found'
        )
        raises(errors.InvalidRequest, client("").auth.jwt.jwt_login, "", jwt(), text="missing role")
        api.configure(jwt_validation_pubkeys=[SIGNER.pem], default_role="ci")
        equal(client("").auth.jwt.jwt_login("", jwt(iss="anybody"))["auth"]["metadata"]["role"], "ci")
        raises(errors.InvalidRequest, client("").auth.jwt.jwt_login, "ci", second)
        equal(api.delete_role("ci").status_code, 204)
        raises(errors.InvalidPath, api.read_role, "ci")
        # The role is gone, and with it what it let in.
        raises(MISTAKE, own.auth.token.renew_self)


@check
def jwt_roles(c):
    api = c.auth.jwt
    with method(c, "jwt"):
        api.configure(jwt_validation_pubkeys=[SIGNER.pem])
        raises(errors.InvalidRequest, api.create_role, "r", "sub", [], text="must have at least one bound constraint")
        raises(
            errors.InvalidRequest,
            api.create_role,
            "r",
            "",
            [],
            bound_subject="x",
            text="a user claim must be defined on the role",
        )
        raises(
            errors.InvalidRequest,
            api.create_role,
            "r",
            "sub",
            [],
            role_type="x",
            bound_subject="x",
            text="invalid 'role_type'",
        )
        # As hvac's own tests have it.
        api.create_role("hvac", "https://vault/user", ["https://x/callback"], bound_audiences=["1234"])
        equal(api.read_role("hvac")["data"]["user_claim"], "https://vault/user")
        api.create_role("subject", "sub", [], bound_subject="ci")
        equal(client("").auth.jwt.jwt_login("subject", jwt(aud=None))["auth"]["metadata"], {"role": "subject"})
        unbound = "audience claim found in JWT but no audiences bound to the role"
        refused_jwts(api, "subject", [(jwt(), unbound), (jwt(aud=None, sub="other"), "invalid subject (sub) claim")])
        api.create_role("pointer", "/who/name", [], bound_subject="ci", user_claim_json_pointer=True)
        own = client("")
        own.auth.jwt.jwt_login("pointer", jwt(aud=None, who={"name": "deep"}))
        equal(own.lookup_token()["data"]["display_name"], "jwt-deep")
        api.create_role("claims", "sub", [], bound_audiences=["signet"], bound_claims={"groups": ["a", "b"]})
        client("").auth.jwt.jwt_login("claims", jwt(groups=["c", "b"]))
        refused_jwts(api, "claims", [(jwt(groups=["c"]), 'claim "groups" does not match')])
        api.create_role("once", "sub", [], bound_audiences=["signet"], token_num_uses=1)
        own.auth.jwt.jwt_login("once", jwt())
        own.lookup_token()
        raises(errors.Forbidden, own.lookup_token)
        api.create_role("batch", "sub", [], bound_audiences=["signet"], token_type="batch")
        equal(client("").auth.jwt.jwt_login("batch", jwt())["auth"]["token_type"], "batch")
        api.create_role("far", "sub", [], bound_audiences=["signet"], token_bound_cidrs=["10.9.8.0/24"])
        raises((errors.Forbidden, errors.InvalidRequest), client("").auth.jwt.jwt_login, "far", jwt())
        # A role of the other type is kept; a token alone does not log in with it.
        api.create_role("browser", "sub", ["https://x/callback"], role_type="oidc")
        refused_jwts(api, "browser", [(jwt(), "role with oidc role_type is not allowed")])


@check
def jwt_with_a_key_set(c):
    """Over TLS, under an authority of its own; a key that the issuer adds is found."""
    api = c.auth.jwt
    authority = Authority(SCRATCH.name, "Issuer's authority")
    keys = [SIGNER]

    def answer(_method, path, _headers, _body):
        if path == "/keys":
            return 200, {"keys": [signer.jwk() for signer in keys]}
        if path == "/.well-known/openid-configuration":
            return 200, {
                "issuer": endpoint.url,
                "jwks_uri": f"{endpoint.url}/keys",
                "authorization_endpoint": f"{endpoint.url}/authorize",
                "id_token_signing_alg_values_supported": ["ES256", "RS256"],
            }
        return 404, {}

    with Endpoint(authority, answer) as endpoint, method(c, "jwt"):
        raises(errors.InvalidRequest, api.configure, jwks_url=f"{endpoint.url}/keys", text="error checking jwks URL")
        api.configure(jwks_url=f"{endpoint.url}/keys", jwks_ca_pem=authority.pem, jwt_supported_algs=["ES256", "RS256"])
        has(api.read_config()["data"], jwks_url=f"{endpoint.url}/keys", jwt_supported_algs=["ES256", "RS256"])
        api.create_role("ci", "sub", [], bound_audiences=["signet"])
        client("").auth.jwt.jwt_login("ci", jwt())
        refused_jwts(
            api,
            "ci",
            [(jwt(aud="x"), "invalid audience (aud) claim"), (Signer().token(sub="ci"), "error validating token")],
        )
        # The discovery names the issuer and where its keys are.
        keys.append(OTHER)
        api.configure(oidc_discovery_url=endpoint.url, oidc_discovery_ca_pem=authority.pem, bound_issuer=endpoint.url)
        has(api.read_config()["data"], oidc_discovery_url=endpoint.url, jwks_url="")
        own = client("")
        own.auth.jwt.jwt_login("ci", jwt(iss=endpoint.url))
        assert own.is_authenticated()
        client("").auth.jwt.jwt_login("ci", OTHER.token(iss=endpoint.url, sub="ci", aud="signet"))
        refused_jwts(api, "ci", [(jwt(), "invalid issuer (iss) claim")])
        raises(
            errors.InvalidRequest,
            api.configure,
            oidc_discovery_url=f"{endpoint.url}/nowhere",
            oidc_discovery_ca_pem=authority.pem,
        )


run()
