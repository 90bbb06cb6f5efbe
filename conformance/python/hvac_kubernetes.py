"""hvac's logins of service accounts, whose tokens an API server of the test reviews; prints one line a check."""

import base64
import json
import tempfile
import time

from hvac import exceptions as errors

from checks import MISTAKE, check, client, equal, has, method, raises, run
from issuers import Authority, Endpoint, Signer, pem

SCRATCH = tempfile.TemporaryDirectory()
SIGNER = Signer()


def account(namespace="shop", name="web", uid="11111111-2222-3333-4444-555555555555", **claims):
    bound = {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}}
    subject = f"system:serviceaccount:{namespace}:{name}"
    return SIGNER.token(
        **{"iss": "https://kubernetes.default.svc", "sub": subject, "aud": ["vault"], "kubernetes.io": bound} | claims
    )


def certified_key(authority):
    """hvac takes keys in certificates only."""
    return pem(authority.issue("service accounts", key=SIGNER.key)[0])


class Cluster:
    """Reviews tokens as an API server does. `gone` are service accounts that were deleted."""

    def __init__(self):
        self.gone, self.reviews = set(), []

    def answer(self, verb, path, headers, body):
        if (verb, path) != ("POST", "/apis/authentication.k8s.io/v1/tokenreviews"):
            return 404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404}
        if headers["Authorization"] != "Bearer reviewer":
            message = "tokenreviews.authentication.k8s.io is forbidden"
            return 403, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": 403}
        review = json.loads(body)
        self.reviews.append(review)
        equal(
            (review.get("kind", "TokenReview"), review.get("apiVersion", "authentication.k8s.io/v1")),
            ("TokenReview", "authentication.k8s.io/v1"),
        )
        review["metadata"] = {"creationTimestamp": None}
        review["status"] = self.status(review["spec"])
        return 201, review

    def status(self, spec):
        refused = {"user": {}, "error": "[invalid bearer token, service account token has been invalidated]"}
        claims = spec["token"].split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(claims + "=="))
        bound = claims["kubernetes.io"]
        audiences = [audience for audience in spec.get("audiences", claims["aud"]) if audience in claims["aud"]]
        if bound["serviceaccount"]["name"] in self.gone or not audiences:
            return refused
        namespace = bound["namespace"]
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
        user = {"username": claims["sub"], "uid": bound["serviceaccount"]["uid"], "groups": groups}
        return {"authenticated": True, "user": user, "audiences": audiences}


@check
def kubernetes_configuration(c):
    api = c.auth.kubernetes
    host = "https://192.168.99.100:8443"
    # Not a certificate, and taken as hvac's own tests have it.
    ca = "-----BEGIN CERTIFICATE-----\\n.....\\n-----END CERTIFICATE-----"
    with method(c, "kubernetes"):
        raises(errors.InvalidPath, api.read_config)
        raises(
            errors.InvalidRequest,
            api.configure,
            host,
            disable_local_ca_jwt=True,
            text="kubernetes_ca_cert must be given",
        )
        raises(errors.InvalidRequest, api.configure, "", text="no host provided")
        equal(api.configure(host, kubernetes_ca_cert=ca, issuer="bob").status_code, 204)
        has(
            api.read_config(),
            kubernetes_host=host,
            kubernetes_ca_cert=ca,
            issuer="bob",
            pem_keys=[],
            disable_iss_validation=True,
            disable_local_ca_jwt=False,
            token_reviewer_jwt_set=False,
        )
        key = certified_key(Authority(SCRATCH.name, "Cluster's authority"))
        api.configure(host, kubernetes_ca_cert=ca, token_reviewer_jwt="reviewer", pem_keys=[key])
        shown = api.read_config()
        has(shown, issuer="", token_reviewer_jwt_set=True)
        equal([key.strip() for key in shown["pem_keys"]], [key.strip()])
        assert "reviewer" not in shown.values()


@check
def kubernetes_roles(c):
    api = c.auth.kubernetes
    with method(c, "kubernetes"):
        raises(errors.InvalidPath, api.read_role, "r")
        raises(errors.InvalidPath, api.list_roles)
        equal(api.create_role("r", ["web"], ["shop"], ttl="1h", policies=["one", "two"]).status_code, 204)
        equal(api.list_roles(), {"keys": ["r"]})
        has(
            api.read_role("r"),
            bound_service_account_names=["web"],
            bound_service_account_namespaces=["shop"],
            alias_name_source="serviceaccount_uid",
            token_policies=["one", "two"],
            token_ttl=3600,
            token_type="default",
        )
        api.create_role(
            "r", "web,api", "shop", alias_name_source="serviceaccount_name", audience="vault", token_type="batch"
        )
        has(
            api.read_role("r"),
            bound_service_account_names=["web", "api"],
            alias_name_source="serviceaccount_name",
            audience="vault",
            token_type="batch",
        )
        api.create_role("any", "*", "*")
        mixed = 'can not mix "*" with values'
        raises(errors.InvalidRequest, api.create_role, "x", ["*", "a"], ["b"], text=mixed)
        raises(errors.InvalidRequest, api.create_role, "x", ["a"], ["*", "b"], text=mixed)
        empty = '"bound_service_account_names" can not be empty'
        raises(errors.InvalidRequest, api.create_role, "x", [], ["b"], text=empty)
        raises(
            errors.InvalidRequest,
            api.create_role,
            "x",
            ["a"],
            [],
            text='"bound_service_account_namespaces" can not be empty',
        )
        raises(
            errors.InvalidRequest,
            api.create_role,
            "x",
            ["a"],
            ["b"],
            alias_name_source="x",
            text="invalid alias_name_source",
        )
        equal(api.list_roles(), {"keys": ["any", "r"]})
        equal(api.delete_role("r").status_code, 204)
        equal(api.list_roles(), {"keys": ["any"]})


@check
def kubernetes_logins(c):
    api = c.auth.kubernetes
    authority = Authority(SCRATCH.name, "Cluster's authority")
    cluster = Cluster()
    with Endpoint(authority, cluster.answer) as endpoint, method(c, "kubernetes"):
        raises(errors.InvalidRequest, client("").auth.kubernetes.login, "r", account(), text='invalid role name "r"')
        api.create_role("r", ["web*"], ["shop"], audience="vault", policies=["one"], ttl="20m")
        raises(MISTAKE, client("").auth.kubernetes.login, "r", account(), text="could not load backend configuration")
        api.configure(
            endpoint.url, kubernetes_ca_cert=authority.pem, token_reviewer_jwt="reviewer", disable_local_ca_jwt=True
        )
        own = client("")
        auth = own.auth.kubernetes.login("r", account())["auth"]
        equal((own.token, auth["policies"], auth["lease_duration"]), (auth["client_token"], ["default", "one"], 1200))
        equal(
            auth["metadata"],
            {
                "role": "r",
                "service_account_name": "web",
                "service_account_namespace": "shop",
                "service_account_secret_name": "",
                "service_account_uid": "11111111-2222-3333-4444-555555555555",
            },
        )
        equal(own.lookup_token()["data"]["display_name"], "kubernetes-shop-web")
        own.auth.token.renew_self()
        equal(cluster.reviews[-1]["spec"]["audiences"], ["vault"])
        login = client("").auth.kubernetes.login
        login("r", account(name="web-2", uid="2"))
        reviews = len(cluster.reviews)
        for token, text in [
            (account(name="api"), "service account name not authorized"),
            (account(namespace="other"), "namespace not authorized"),
            (account(aud=["another"]), "invalid audience (aud) claim"),
            (
                account(exp=int(time.time()) - 3600, iat=None, nbf=None),
                "invalid expiration time (exp) claim: token is expired",
            ),
        ]:
            raises(errors.Forbidden, login, "r", token, text=text)
        equal(len(cluster.reviews), reviews)
        cluster.gone.add("web-3")
        raises(errors.Forbidden, login, "r", account(name="web-3", uid="3"), text="permission denied")
        # The API server knows the account under another name than the token says.
        raises(
            errors.Forbidden,
            login,
            "r",
            account(name="web-4", sub="system:serviceaccount:shop:web-5"),
            text="permission denied",
        )
        raises(errors.InvalidRequest, login, "", account(), text="missing role")
        raises(errors.InvalidRequest, login, "r", "", text="missing jwt")
        raises(errors.Forbidden, login, "r", "not.a.token", text="permission denied")
        # With keys of its own the server does not ask about what it can see by itself.
        api.configure(
            endpoint.url,
            kubernetes_ca_cert=authority.pem,
            token_reviewer_jwt="reviewer",
            pem_keys=[certified_key(authority)],
        )
        login("r", account(name="web-6", uid="6"))
        reviews = len(cluster.reviews)
        forged = Signer().token(
            **{"aud": ["vault"], "kubernetes.io": {"namespace": "shop", "serviceaccount": {"name": "web", "uid": "1"}}}
        )
        raises(errors.Forbidden, login, "r", forged, text="permission denied")
        equal(len(cluster.reviews), reviews)
        # Whoever may not ask cannot say anything of a token.
        api.configure(
            endpoint.url, kubernetes_ca_cert=authority.pem, token_reviewer_jwt="other", disable_local_ca_jwt=True
        )
        raises((errors.Forbidden, errors.VaultDown), login, "r", account(name="web-7", uid="7"))
        api.delete_role("r")
        raises(MISTAKE, own.auth.token.renew_self)


run()
