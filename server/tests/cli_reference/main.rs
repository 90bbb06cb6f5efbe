//! The command line against the reference: the same commands, typed once to the reference's own tool
//! and once to this one under the name `bao`, must print the same and end with the same code. Each
//! tool has a server of its own, so that neither sees what the other did.
//!
//! `SIGNET_TEST_BAO` names the reference binary; `scripts/test` installs it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod bench;
mod servers;
#[path = "../support/token_review.rs"]
mod token_review;

use std::path::{Path, PathBuf};

use bench::{Bench, Listener, differences};

/// The reference and this program.
fn programs() -> (PathBuf, &'static Path) {
    let reference = std::env::var_os("SIGNET_TEST_BAO")
        .unwrap_or_else(|| panic!("SIGNET_TEST_BAO is not set: run the tests with scripts/test"));
    (reference.into(), Path::new(env!("CARGO_BIN_EXE_signet")))
}

#[test]
fn prints_what_the_reference_prints() {
    let (reference, signet) = programs();
    let theirs = Bench::start(&reference, &reference, Listener::Plain);
    let ours = Bench::start(&reference, signet, Listener::Plain);
    let differences = differences(&theirs.play(COMMANDS), &ours.play(COMMANDS));
    assert!(differences.is_empty(), "{differences}");
}

/// One command a line; `'…'` is one word.
const COMMANDS: &str = r"
    status
    status -format=json
    secrets enable pki
    secrets enable pki
    secrets enable nonesuch
    secrets tune -max-lease-ttl=87600h pki
    secrets tune -max-lease-ttl=87600h nothing
    write -field=certificate pki/root/generate/internal max_path_length=1 common_name= 'RH Custom Root CA'
    write -field=certificate pki/root/generate/internal max_path_length=1 'common_name=RH Custom Root CA' 'ou=RH-FSI' 'organization=Red Hat Consulting' country=US ttl=87600h issuer_name=rh-custom-root-ca key_type=ec
    secrets enable -path=pki_int_ca pki
    secrets tune -max-lease-ttl=43800h pki_int_ca
    write -format=json -field=csr pki_int_ca/intermediate/generate/internal require_cn=false 'common_name=RH Custom Intermediate CA' key_type=ec
    write pki_int_ca/roles/rh-custom-issuer allow_any_name=true allow_uri_sans=true ou= 'RH-SPPRT' ttl=4380h
    write pki_int_ca/roles/rh-custom-issuer allow_any_name=true allow_uri_sans=true ou=RH-SPPRT ttl=4380h max_ttl=4380h 'allowed_uri_sans=istio-system.svc, cluster.local, spiffe://*'
    read pki_int_ca/roles/rh-custom-issuer
    read -format=json pki_int_ca/roles/rh-custom-issuer
    read -format=yaml pki_int_ca/roles/rh-custom-issuer
    read -field=ttl pki_int_ca/roles/rh-custom-issuer
    read -field=nope pki_int_ca/roles/rh-custom-issuer
    read pki_int_ca/roles/none
    list pki_int_ca/roles
    list -format=json pki_int_ca/roles
    list -detailed pki/issuers
    list pki_int_ca/certs
    read pki/cert/ca
    read -format=raw pki/ca/pem
    write pki/roles/x allow_any_name=true key_type=ec
    write pki/issue/x common_name=foo.example.com ttl=24h bogus=1
    write pki/issue/none common_name=foo.example.com
    write -wrap-ttl=60s pki/issue/x common_name=foo.example.com
    write -wrap-ttl=60s -format=json pki/issue/x common_name=foo.example.com
    write -f pki/crl/rotate
    write pki/crl/rotate
    patch pki/issuer/default issuer_name=other
    patch pki/issuer/none
    delete pki/roles/x
    auth enable approle
    auth tune -max-lease-ttl=12h approle
    write auth/approle/role/rh-vault-pki-role secret_id_ttl=0 token_num_uses=10 token_ttl=10m token_max_ttl=15m secret_id_num_uses=0
    read auth/approle/role/rh-vault-pki-role
    read auth/approle/role/rh-vault-pki-role/role-id
    write -f auth/approle/role/rh-vault-pki-role/secret-id
    auth list
    auth list -detailed
    auth disable approle
    secrets list
    secrets list -detailed
    secrets list -format=json
    write cubbyhole/a b=<c>& d=true e=
    read cubbyhole/a
    read -format=json cubbyhole/a
    read -format=yaml cubbyhole/a
    list cubbyhole
    write cubbyhole/a x=1 x=2
    read -field=x cubbyhole/a
    write cubbyhole/a x=@/no/such/file
    write cubbyhole/a
    token create -policy=default -ttl=1h -metadata=a=b
    token create -policy=default -ttl=1h -format=json
    token create -policy=none -ttl=9000h
    token lookup
    token lookup none
    token renew
    token revoke none
    token revoke
    token capabilities sys/mounts
    policy list
    policy read default
    policy read none
    policy delete none
    policy write none /no/such/file
    operator members
    operator step-down
    operator seal extra
    operator init
    operator init -status
    lease lookup none
    lease revoke none
    audit list
    path-help sys/mounts/x
    path-help none
    unwrap none
    login -no-store root
    login -no-store none
    login -method=nonesuch
    print token
    kv put -mount=secret app b=c d=e
    kv get -mount=secret app
    kv get -mount=secret -field=b app
    kv list secret
    kv patch -mount=secret app x=y
    kv patch -mount=secret -method=rw app z=1
    kv patch -mount=secret -remove-data=z app
    kv patch -mount=secret -cas=1 app z=1
    kv patch -mount=secret none z=1
    kv patch -mount=secret -method=rw none z=1
    kv patch -mount=secret app
    kv patch -method=bogus secret/app z=1
    kv rollback -mount=secret -version=1 app
    kv rollback secret/app
    kv rollback -version=99 secret/app
    kv delete -mount=secret -versions=1,2 app
    kv undelete -mount=secret -versions=1 app
    kv undelete -mount=secret app
    kv destroy -mount=secret -versions=2 app
    kv destroy -mount=secret app
    kv rollback -version=2 secret/app
    kv get -mount=secret -version=2 app
    kv metadata put -mount=secret -max-versions=6 -delete-version-after=3h -cas-required=false -custom-metadata=a=b app
    kv metadata patch -mount=secret -remove-custom-metadata=a -max-versions=7 app
    kv metadata get -mount=secret app
    kv metadata get -mount=secret -format=json app
    kv metadata get -mount=secret none
    kv metadata put -output-curl-string -cas-required secret/app
    kv metadata delete -mount=secret app
    kv put secret/app a=1
    kv delete -mount=secret app
    kv patch -mount=secret -method=rw app a=1
    kv patch -mount=secret app a=1
    secrets enable -path=plain kv
    kv put plain/x a=1
    kv patch plain/x a=1
    kv undelete -versions=1 plain/x
    kv metadata get plain/x
    kv delete -versions=1 plain/x
    kv enable-versioning none
    kv enable-versioning plain
    secrets disable plain
    pki issue -issuer_name=kid pki/issuer/other pki_int_ca common_name=Kid ttl=4000h key_type=ec
    pki reissue -issuer_name=kid2 pki/issuer/other pki_int_ca/issuer/kid pki_int_ca ttl=3000h
    pki reissue -issuer_name=kid3 -type=existing pki/issuer/other pki_int_ca/issuer/kid pki_int_ca
    pki verify-sign -format=json pki/issuer/other pki_int_ca/issuer/kid
    pki verify-sign -format=yaml pki_int_ca/issuer/kid2 pki/issuer/other
    pki verify-sign
    pki verify-sign pki/issuer/other
    pki verify-sign pki/issuer/other pki_int_ca/issuer/none
    pki verify-sign pki/issuer/other pki/cert/ca
    pki list-intermediates -use_names -format=json pki/issuer/other pki_int_ca/issuer/kid pki_int_ca
    pki list-intermediates -use_names -path_match -format=json pki_int_ca/issuer/kid3 pki_int_ca
    pki list-intermediates pki/issuer/other pki_int_ca/issuer/kid
    pki list-intermediates
    pki list-intermediates pki/issuer/none
    pki issue
    pki issue pki/issuer/none pki_int_ca common_name=x
    pki issue pki/issuer/other none common_name=x
    pki reissue pki/issuer/other pki_int_ca/issuer/none pki_int_ca
    secrets move pki old
    secrets disable old
    secrets disable pki_int_ca
    read -nosuchflag x
    read -format=bogus x
    read -wrap-ttl=abc x
    read
    read a b
    write -field
    secrets enable -max-lease-ttl=abc pki
    read -header=X-Vault-Foo=b x
    read -address=http://127.0.0.1:1 x
    status -address=http://127.0.0.1:1
    read -output-policy sys/mounts
    list -output-policy cubbyhole
";
