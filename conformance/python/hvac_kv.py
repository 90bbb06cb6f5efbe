"""hvac's key-value stores, with and without versions; prints one line a check."""

import time
import warnings

from hvac import exceptions as errors

from checks import IS_OPENBAO, check, client, equal, has, raises, run

# Every read by hvac 2.4.0 warns of a default that changes in version 3.
warnings.simplefilter("ignore", DeprecationWarning)


def ready(read):
    """What `read` gives. The reference refuses for a moment when a store begins to keep versions; nobody else may."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return read()
        except (errors.InvalidRequest, errors.UnexpectedError) as error:
            assert IS_OPENBAO and "upgrading" in str(error).lower() and time.monotonic() < deadline, error


class store:
    """A mount of the given version."""

    def __init__(self, c, mount, version):
        self.c, self.mount, self.version = c, mount, version

    def __enter__(self):
        self.c.sys.enable_secrets_engine("kv", path=self.mount, options={"version": self.version})
        if self.version == "2":
            ready(lambda: self.c.secrets.kv.v2.read_configuration(self.mount))
        return self.mount

    def __exit__(self, *_):
        self.c.sys.disable_secrets_engine(self.mount)


# Without versions.


@check
def kv_1_secrets(c):
    api = c.secrets.kv.v1
    with store(c, "plain", "1") as mount:
        equal(c.sys.list_mounted_secrets_engines()["data"]["plain/"]["options"], {"version": "1"})
        equal(api.create_or_update_secret("hvac", {"psst": "this is secret"}, mount_point=mount).status_code, 204)
        answer = api.read_secret("hvac", mount_point=mount)
        equal(answer["data"], {"psst": "this is secret"})
        equal((answer["lease_duration"], answer["renewable"]), (2764800, False))
        # The second write is hvac's PUT, for it finds the first.
        api.create_or_update_secret("hvac", {"other": 1, "deep": {"a": [True, None]}}, mount_point=mount)
        equal(api.read_secret("hvac", mount_point=mount)["data"], {"other": 1, "deep": {"a": [True, None]}})
        api.create_or_update_secret("hvac", {"forced": "x"}, method="POST", mount_point=mount)
        api.create_or_update_secret("hvac", {"forced": "y"}, method="PUT", mount_point=mount)
        equal(api.read_secret("hvac", mount_point=mount)["data"], {"forced": "y"})
        raises(errors.ParamValidationError, api.create_or_update_secret, "hvac", {}, method="GET", mount_point=mount)
        equal(api.delete_secret("hvac", mount_point=mount).status_code, 204)
        raises(errors.InvalidPath, api.read_secret, "hvac", mount_point=mount)
        equal(api.delete_secret("hvac", mount_point=mount).status_code, 204)


@check
def kv_1_lists(c):
    api = c.secrets.kv.v1
    with store(c, "plain", "1") as mount:
        raises(errors.InvalidPath, api.list_secrets, "", mount_point=mount)
        for path in ("a", "folder/b", "folder/deep/c", "with blank/d"):
            api.create_or_update_secret(path, {"x": path}, mount_point=mount)
        equal(api.list_secrets("", mount_point=mount)["data"]["keys"], ["a", "folder/", "with blank/"])
        equal(api.list_secrets("folder", mount_point=mount)["data"]["keys"], ["b", "deep/"])
        equal(api.list_secrets("with blank", mount_point=mount)["data"]["keys"], ["d"])
        equal(api.read_secret("with blank/d", mount_point=mount)["data"], {"x": "with blank/d"})
        raises(errors.InvalidPath, api.list_secrets, "a", mount_point=mount)
        raises(errors.InvalidPath, api.read_secret, "folder", mount_point=mount)


@check
def kv_1_lifetimes(c):
    """A secret may say how often it is to be read again."""
    api = c.secrets.kv.v1
    with store(c, "plain", "1") as mount:
        api.create_or_update_secret("a", {"ttl": "1h"}, mount_point=mount)
        answer = api.read_secret("a", mount_point=mount)
        equal((answer["lease_duration"], answer["lease_id"], answer["data"]), (3600, "", {"ttl": "1h"}))


@check
def kv_1_by_the_generic_calls(c):
    with store(c, "plain", "1") as mount:
        equal(c.read(f"{mount}/none"), None)
        equal(c.list(f"{mount}/none"), None)
        c.write_data(f"{mount}/foo", data={"zap": "zip"})
        equal(c.read(f"{mount}/foo")["data"], {"zap": "zip"})
        wrapped = c.read(f"{mount}/foo", wrap_ttl="10s")
        equal((wrapped["data"], wrapped["wrap_info"]["ttl"]), (None, 10))
        equal(c.sys.unwrap(wrapped["wrap_info"]["token"])["data"], {"zap": "zip"})
        # A slash before the path, as hvac's issue 51 has it.
        c.write_data(f"/{mount}/bar", data={"a": "b"})
        equal(c.read(f"/{mount}/bar")["data"], {"a": "b"})
        equal(c.list(mount)["data"]["keys"], ["bar", "foo"])
        c.delete(f"{mount}/foo")
        equal(c.read(f"{mount}/foo"), None)


# With versions.


@check
def kv_2_configuration(c):
    api = c.secrets.kv.v2
    with store(c, "versions", "2") as mount:
        configuration = api.read_configuration(mount)["data"]
        has(configuration, cas_required=False, delete_version_after="0s", max_versions=0)
        equal(api.configure(max_versions=20, cas_required=True, mount_point=mount).status_code, 204)
        api.configure(max_versions=3, cas_required=False, delete_version_after="3h", mount_point=mount)
        configuration = api.read_configuration(mount)["data"]
        has(configuration, cas_required=False, delete_version_after="3h0m0s", max_versions=3)
        for number in range(5):
            api.create_or_update_secret("a", {"n": number}, mount_point=mount)
        metadata = api.read_secret_metadata("a", mount)["data"]
        equal(sorted(metadata["versions"]), ["3", "4", "5"])
        equal((metadata["oldest_version"], metadata["current_version"]), (3, 5))
        assert metadata["versions"]["5"]["deletion_time"].endswith("Z")
        raises(errors.InvalidPath, api.read_secret_version, "a", 2, mount)


@check
def kv_2_secrets(c):
    api = c.secrets.kv.v2
    with store(c, "versions", "2") as mount:
        raises(errors.InvalidPath, api.read_secret, "hvac", mount)
        made = api.create_or_update_secret("hvac", {"pssst": "this is secret"}, mount_point=mount)["data"]
        equal(sorted(made), ["created_time", "custom_metadata", "deletion_time", "destroyed", "version"])
        equal(
            (made["version"], made["destroyed"], made["deletion_time"], made["custom_metadata"]), (1, False, "", None)
        )
        found = api.read_secret("hvac", mount)["data"]
        equal(found, {"data": {"pssst": "this is secret"}, "metadata": made})
        api.create_or_update_secret("hvac", {"pssst": "changed"}, mount_point=mount)
        equal(api.read_secret_version("hvac", mount_point=mount)["data"]["data"], {"pssst": "changed"})
        equal(api.read_secret_version("hvac", 1, mount)["data"]["data"], {"pssst": "this is secret"})
        raises(errors.InvalidPath, api.read_secret_version, "hvac", 9, mount)
        # The default of hvac's `kv` is the store with versions.
        equal(c.secrets.kv.read_secret("hvac", mount_point=mount)["data"]["metadata"]["version"], 2)


@check
def kv_2_patch(c):
    api = c.secrets.kv.v2
    with store(c, "versions", "2") as mount:
        raises(errors.InvalidPath, api.patch, "hvac", {"a": 1}, mount, text="patch only works on existing data")
        api.create_or_update_secret("hvac", {"a": 1, "b": {"c": 2}}, mount_point=mount)
        equal(api.patch("hvac", {"d": 3}, mount)["data"]["version"], 2)
        equal(api.read_secret("hvac", mount)["data"]["data"], {"a": 1, "b": {"c": 2}, "d": 3})


@check
def kv_2_check_and_set(c):
    api = c.secrets.kv.v2
    wrong = "check-and-set parameter did not match the current version"
    with store(c, "versions", "2") as mount:
        raises(errors.InvalidRequest, api.create_or_update_secret, "a", {"n": 1}, 1, mount, text=wrong)
        equal(api.create_or_update_secret("a", {"n": 1}, 0, mount)["data"]["version"], 1)
        raises(errors.InvalidRequest, api.create_or_update_secret, "a", {"n": 2}, 0, mount, text=wrong)
        equal(api.create_or_update_secret("a", {"n": 2}, 1, mount)["data"]["version"], 2)
        equal(api.read_secret("a", mount)["data"]["data"], {"n": 2})
        missing = "check-and-set parameter required for this call"
        api.update_metadata("a", cas_required=True, mount_point=mount)
        raises(errors.InvalidRequest, api.create_or_update_secret, "a", {"n": 3}, mount_point=mount, text=missing)
        api.configure(cas_required=True, mount_point=mount)
        raises(errors.InvalidRequest, api.create_or_update_secret, "b", {"n": 3}, mount_point=mount, text=missing)


@check
def kv_2_deletion(c):
    api = c.secrets.kv.v2
    with store(c, "versions", "2") as mount:
        for number in range(1, 5):
            api.create_or_update_secret("a", {"n": number}, mount_point=mount)
        equal(api.delete_latest_version_of_secret("a", mount).status_code, 204)
        raises(errors.InvalidPath, api.read_secret, "a", mount, raise_on_deleted_version=True)
        deleted = api.read_secret("a", mount, raise_on_deleted_version=False)["data"]
        equal((deleted["data"], deleted["metadata"]["version"]), (None, 4))
        assert deleted["metadata"]["deletion_time"] and not deleted["metadata"]["destroyed"]
        equal(api.delete_secret_versions("a", [1, 2], mount).status_code, 204)
        raises(errors.InvalidPath, api.read_secret_version, "a", 1, mount)
        equal(api.read_secret_version("a", 3, mount)["data"]["data"], {"n": 3})
        equal(api.undelete_secret_versions("a", [1, 4], mount).status_code, 204)
        equal(api.read_secret_version("a", 1, mount)["data"]["data"], {"n": 1})
        equal(api.read_secret("a", mount)["data"]["data"], {"n": 4})
        equal(api.destroy_secret_versions("a", [4], mount).status_code, 204)
        destroyed = api.read_secret_metadata("a", mount)["data"]["versions"]["4"]
        equal((destroyed["destroyed"], destroyed["deletion_time"]), (True, ""))
        raises(errors.InvalidPath, api.read_secret, "a", mount, raise_on_deleted_version=False)
        api.undelete_secret_versions("a", [4], mount)
        raises(errors.InvalidPath, api.read_secret, "a", mount)
        for call in (api.delete_secret_versions, api.undelete_secret_versions, api.destroy_secret_versions):
            raises(errors.ParamValidationError, call, "a", [], mount)
            equal(call("none", [1], mount).status_code, 204)
        equal(api.delete_metadata_and_all_versions("a", mount).status_code, 204)
        raises(errors.InvalidPath, api.read_secret_metadata, "a", mount)
        raises(errors.InvalidPath, api.read_secret_version, "a", 3, mount)


@check
def kv_2_metadata(c):
    api = c.secrets.kv.v2
    with store(c, "versions", "2") as mount:
        raises(errors.InvalidPath, api.read_secret_metadata, "a", mount)
        answer = api.update_metadata(
            "a",
            max_versions=2,
            cas_required=False,
            delete_version_after="1h",
            custom_metadata={"type": "api", "color": "blue"},
            mount_point=mount,
        )
        equal(answer.status_code, 204)
        metadata = api.read_secret_metadata("a", mount)["data"]
        equal((metadata["current_version"], metadata["versions"]), (0, {}))
        equal((metadata["max_versions"], metadata["delete_version_after"]), (2, "1h0m0s"))
        equal(metadata["custom_metadata"], {"type": "api", "color": "blue"})
        made = api.create_or_update_secret("a", {"x": 1}, mount_point=mount)["data"]
        equal(made["custom_metadata"], {"type": "api", "color": "blue"})
        raises(errors.ParamValidationError, api.update_metadata, "a", cas_required="yes", mount_point=mount)
        raises(errors.ParamValidationError, api.update_metadata, "a", custom_metadata="x", mount_point=mount)
        raises(errors.InvalidRequest, api.update_metadata, "a", custom_metadata={"x": "y" * 513}, mount_point=mount)
        equal(api.read_secret_metadata("a", mount)["data"]["cas_required"], False)


@check
def kv_2_lists(c):
    api = c.secrets.kv.v2
    with store(c, "versions", "2") as mount:
        raises(errors.InvalidPath, api.list_secrets, "", mount)
        for path in ("a", "folder/b", "folder/deep/c"):
            api.create_or_update_secret(path, {"x": path}, mount_point=mount)
        api.delete_latest_version_of_secret("a", mount)
        equal(api.list_secrets("", mount)["data"]["keys"], ["a", "folder/"])
        equal(api.list_secrets("folder", mount)["data"]["keys"], ["b", "deep/"])
        raises(errors.InvalidPath, api.list_secrets, "none", mount)


@check
def kv_2_by_policy(c):
    """What a token may do depends on the part of the API, not on the secret alone."""
    api = c.secrets.kv.v2
    with store(c, "versions", "2") as mount:
        api.create_or_update_secret("a", {"x": 1}, mount_point=mount)
        c.sys.create_or_update_policy("reader", f'path "{mount}/data/*" {{ capabilities = ["read"] }}')
        reader = client(c.auth.token.create(policies=["reader"])["auth"]["client_token"])
        own = reader.secrets.kv.v2
        equal(own.read_secret("a", mount)["data"]["data"], {"x": 1})
        raises(errors.Forbidden, own.create_or_update_secret, "a", {"x": 2}, mount_point=mount)
        raises(errors.Forbidden, own.delete_latest_version_of_secret, "a", mount)
        raises(errors.Forbidden, own.list_secrets, "", mount)
        raises(errors.Forbidden, own.read_secret_metadata, "a", mount)
        raises(errors.Forbidden, own.destroy_secret_versions, "a", [1], mount)
        c.sys.delete_policy("reader")


@check
def kv_1_becomes_kv_2(c):
    with store(c, "grown", "1") as mount:
        c.secrets.kv.v1.create_or_update_secret("a", {"x": 1}, mount_point=mount)
        c.sys.tune_mount_configuration(mount, options={"version": "2"})
        api = c.secrets.kv.v2
        found = ready(lambda: api.read_secret("a", mount))["data"]
        equal((found["data"], found["metadata"]["version"]), ({"x": 1}, 1))
        equal(api.create_or_update_secret("a", {"x": 2}, 1, mount)["data"]["version"], 2)


@check
def the_wrong_store_says_what_to_use(c):
    """hvac's callers take one for the other."""
    with store(c, "versions", "2") as mount:
        c.secrets.kv.v2.create_or_update_secret("a", {"x": 1}, mount_point=mount)
        try:
            c.secrets.kv.v1.read_secret("a", mount_point=mount)
        except errors.InvalidPath as error:
            assert "Invalid path for a versioned K/V secrets engine" in str(error.json["warnings"]), error.json
        else:
            raise AssertionError("the path of a store without versions was served")


run()
