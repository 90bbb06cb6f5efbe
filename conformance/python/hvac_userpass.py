"""hvac's logins with passwords, and methods without any; prints one line a check."""

from hvac import exceptions as errors

from checks import IS_OPENBAO, MISTAKE, check, client, equal, has, method, raises, run

# Methods that are known by name.


@check
def methods_that_are_known_by_name_only(c):
    """hvac's own tests mount GitHub and GCP, and log in where nothing is mounted."""
    for kind in ("github", "gcp"):
        try:
            c.sys.enable_auth_method(kind, path=f"{kind}-custom")
        except errors.InvalidRequest as error:
            assert IS_OPENBAO and f"plugin not found in the catalog: {kind}" in str(error), error
            continue
        assert f"{kind}-custom/" in c.sys.list_auth_methods()
        assert f"{kind}-custom/" in c.sys.list_auth_methods()["data"]
        c.sys.disable_auth_method(f"{kind}-custom")
        assert f"{kind}-custom/" not in c.sys.list_auth_methods()["data"]
    stranger = client("")
    raises(errors.Forbidden, stranger.auth.gcp.login, role="example", jwt="x.y.z", text="permission denied")
    raises(
        errors.InvalidRequest, c.sys.enable_auth_method, "nonesuch", text="plugin not found in the catalog: nonesuch"
    )


# Passwords.


@check
def userpass(c):
    api = c.auth.userpass
    with method(c, "userpass"):
        raises(errors.InvalidPath, api.list_user)
        raises(errors.InvalidPath, api.read_user, "alice")
        equal(api.create_or_update_user("alice", "secret", "one").status_code, 204)
        api.create_or_update_user("bob", "other", token_policies=["two"], token_ttl="30m", token_max_ttl=7200)
        equal(api.list_user()["data"]["keys"], ["alice", "bob"])
        shown = api.read_user("alice")["data"]
        equal((shown["policies"], shown["token_policies"]), (["one"], ["one"]))
        has(api.read_user("bob")["data"], token_policies=["two"], token_ttl=1800, token_max_ttl=7200)
        assert "password" not in str(api.read_user("bob")["data"])
        own = client("")
        answer = own.auth.userpass.login("alice", "secret")["auth"]
        equal((own.token, answer["policies"]), (answer["client_token"], ["default", "one"]))
        equal((answer["metadata"], answer["renewable"], answer["token_type"]), ({"username": "alice"}, True, "service"))
        assert own.is_authenticated()
        equal(own.lookup_token()["data"]["display_name"], "userpass-alice")
        equal(own.lookup_token()["data"]["path"], "auth/userpass/login/alice")
        equal(own.auth.token.renew_self()["auth"]["client_token"], own.token)
        # Names are the same in upper and lower case.
        equal(client("").auth.userpass.login("Alice", "secret")["auth"]["metadata"], {"username": "alice"})
        equal(api.login("bob", "other", use_token=False)["auth"]["lease_duration"], 1800)
        for name, password in (("alice", "wrong"), ("nobody", "secret"), ("alice", "")):
            text = "missing password" if password == "" else "invalid username or password"
            raises(MISTAKE, client("").auth.userpass.login, name, password, text=text)
        equal(api.update_password_on_user("alice", "changed").status_code, 204)
        raises(errors.InvalidRequest, client("").auth.userpass.login, "alice", "secret")
        client("").auth.userpass.login("alice", "changed")
        api.create_or_update_user("alice", policies=["three"])
        equal(client("").auth.userpass.login("alice", "changed")["auth"]["policies"], ["default", "three"])
        # Whose policies are others now is not the one who logged in.
        raises(MISTAKE, own.auth.token.renew_self, text="policies have changed, not renewing")
        raises(
            errors.InvalidRequest,
            api.create_or_update_user,
            "carol",
            policies=["x"],
            text="must provide either password or password_hash",
        )
        last = client("")
        last.auth.userpass.login("alice", "changed")
        equal(api.delete_user("alice").status_code, 204)
        if IS_OPENBAO:
            # Not renewed either, and no word of it.
            equal(last.auth.token.renew_self().status_code, 204)
        else:
            raises(errors.InvalidRequest, last.auth.token.renew_self)
        equal(api.list_user()["data"]["keys"], ["bob"])
        raises(errors.InvalidRequest, client("").auth.userpass.login, "alice", "changed")
    assert not own.is_authenticated()


@check
def userpass_from_one_network_only(c):
    with method(c, "userpass"):
        c.auth.userpass.create_or_update_user("far", "x", token_bound_cidrs=["10.9.8.0/24"])
        raises((errors.Forbidden, errors.InvalidRequest), client("").auth.userpass.login, "far", "x")


run()
