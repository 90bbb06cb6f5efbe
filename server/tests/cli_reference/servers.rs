//! The servers against each other: what the reference's tool prints of the reference's server, it prints
//! of this one too, and so does this tool.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::bench::{Bench, Listener, differences};
use crate::programs;
use crate::token_review::{api_server, service_account_token};

/// Plays the commands with either tool at this server.
fn compare(commands: &str, files: &[(&str, String)]) {
    let (reference, signet) = programs();
    let bench = |program: &Path, tool: &Path| {
        let bench = Bench::start(program, tool, Listener::Tls);
        for (name, text) in files {
            bench.write(name, text);
        }
        bench
    };
    let theirs = bench(&reference, &reference).play(commands);
    for tool in [reference.as_path(), signet] {
        let differences = differences(&theirs, &bench(signet, tool).play(commands));
        assert!(differences.is_empty(), "{}\n{differences}", tool.display());
    }
}

#[test]
fn secrets_are_kept_as_by_the_reference() {
    compare(SECRETS, &[]);
}

#[test]
fn users_services_and_certificates_log_in_as_at_the_reference() {
    let (address, _asked) = api_server();
    let commands = LOGINS.replace("API", &address.to_string());
    let authority = Authority::new();
    let (certificate, key) = authority.issue("web.example.com");
    let (other_certificate, other_key) = Authority::new().issue("web.example.com");
    let files = [
        ("ca.pem", authority.pem),
        ("web.pem", certificate),
        ("web.key", key),
        ("other.pem", other_certificate),
        ("other.key", other_key),
        ("account.jwt", service_account_token()),
    ];
    compare(&commands, &files);
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { pem, issuer }
    }

    /// A client's certificate and its key.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

/// One command a line; `'…'` is one word.
const SECRETS: &str = r"
    kv get -mount=secret app
    kv list -mount=secret
    kv put -mount=secret app user=app password=hunter2
    kv get -mount=secret app
    kv get -mount=secret -format=json app
    kv get -mount=secret -format=yaml app
    kv get -mount=secret -field=password app
    kv get -mount=secret -field=none app
    kv get -mount=secret -field=metadata app
    kv get secret/app
    kv put -mount=secret -cas=0 app user=x
    kv put -mount=secret -cas=1 app user=app password=hunter3
    kv put -mount=secret -cas=1 app user=app password=hunter3
    kv get -mount=secret -version=1 app
    kv get -mount=secret -version=9 app
    kv put secret/folder/deep/one a=1 b=true c=
    kv put secret/folder/two a=1
    kv list secret
    kv list secret/folder
    kv list -mount=secret folder/deep
    kv list -format=json secret
    kv list secret/none
    kv patch -mount=secret app more=1
    kv patch -mount=secret -method=rw app more=2
    kv patch -mount=secret -method=patch app more=3
    kv patch -mount=secret -cas=5 app more=4
    kv patch -mount=secret -cas=5 app more=5
    kv patch -mount=secret -remove-data=more app
    kv patch -mount=secret none more=1
    kv get -mount=secret app
    kv rollback -mount=secret -version=1 app
    kv rollback -mount=secret -version=99 app
    kv get -mount=secret app
    kv delete -mount=secret app
    kv get -mount=secret app
    kv get -mount=secret -format=json app
    kv get -mount=secret -field=user app
    kv patch -mount=secret app a=1
    kv patch -mount=secret -method=rw app a=1
    kv undelete -mount=secret -versions=8 app
    kv get -mount=secret app
    kv delete -mount=secret -versions=1,2 app
    kv get -mount=secret -version=2 app
    kv destroy -mount=secret -versions=1,2 app
    kv undelete -mount=secret -versions=1 app
    kv get -mount=secret -version=1 app
    kv rollback -mount=secret -version=1 app
    kv metadata get -mount=secret app
    kv metadata get -mount=secret -format=json app
    kv metadata get -mount=secret none
    kv metadata put -mount=secret -max-versions=2 -delete-version-after=3h -cas-required -custom-metadata=owner=shop -custom-metadata=tier=1 app
    kv metadata get -mount=secret app
    kv put -mount=secret app a=1
    kv put -mount=secret -cas=8 app a=1
    kv metadata patch -mount=secret -cas-required=false -custom-metadata=more=x -remove-custom-metadata=tier app
    kv metadata get -mount=secret app
    kv metadata patch -mount=secret none
    kv metadata patch -mount=secret -max-versions=3 none
    kv metadata put -mount=secret early
    kv metadata get -mount=secret early
    kv get -mount=secret early
    kv metadata delete -mount=secret app
    kv metadata delete -mount=secret app
    kv get -mount=secret app
    read secret/config
    write secret/config max_versions=5 cas_required=true
    read secret/config
    kv put -mount=secret new a=1
    kv put -mount=secret -cas=0 new a=1
    secrets enable -path=plain -version=1 kv
    kv get plain/a
    kv put plain/a b=c d=e
    kv put -mount=plain folder/x ttl=1h
    kv get plain/a
    kv get -mount=plain -format=json folder/x
    kv get -field=b plain/a
    kv list plain
    kv list plain/folder
    kv delete plain/a
    kv get plain/a
    kv undelete -versions=1 plain/a
    kv destroy -versions=1 plain/a
    kv rollback -version=1 plain/a
    kv metadata get plain/a
    kv enable-versioning plain
    kv get plain/folder/x
    kv put plain/folder/x c=d
    kv get -version=1 plain/folder/x
    secrets enable -path=three -version=2 kv
    kv put -mount=three a b=c
    kv put -mount=none a b=c
    kv get none/a
";

const LOGINS: &str = r"
    auth enable userpass
    login -method=userpass username=alice password=secret
    write auth/userpass/users/alice password=secret token_policies=one token_ttl=20m
    read auth/userpass/users/alice
    list auth/userpass/users
    login -method=userpass username=alice password=secret
    login -method=userpass -format=json username=alice password=secret
    login -method=userpass -no-print username=alice password=secret
    login -method=userpass -no-store username=Alice password=secret
    login -method=userpass -token-only username=alice password=secret
    login -method=userpass -field=policies username=alice password=secret
    login -method=userpass -wrap-ttl=60s username=alice password=secret
    login -method=userpass username=alice password=wrong
    login -method=userpass username=nobody password=secret
    login -method=userpass password=secret
    login -method=userpass -path=elsewhere username=alice password=secret
    auth enable -path=elsewhere userpass
    write auth/elsewhere/users/bob password=x
    login -method=userpass -path=elsewhere username=bob password=x
    write auth/userpass/users/alice/password password=changed
    login -method=userpass username=alice password=secret
    login -method=userpass username=alice password=changed
    write auth/userpass/users/alice/policies token_policies=two
    login -method=userpass -field=token_policies username=alice password=changed
    delete auth/userpass/users/alice
    login -method=userpass username=alice password=changed
    auth enable cert
    login -method=cert -client-cert=web.pem -client-key=web.key
    write auth/cert/certs/web certificate=@ca.pem allowed_dns_sans=*.example.com token_policies=one token_ttl=20m
    read -field=allowed_dns_sans auth/cert/certs/web
    list auth/cert/certs
    login -method=cert -client-cert=web.pem -client-key=web.key name=web
    login -method=cert -client-cert=web.pem -client-key=web.key
    login -method=cert -client-cert=web.pem -client-key=web.key name=none
    login -method=cert -client-cert=other.pem -client-key=other.key
    login -method=cert
    write auth/cert/certs/web allowed_dns_sans=*.example.org
    login -method=cert -client-cert=web.pem -client-key=web.key name=web
    list auth/cert/crls
    auth enable kubernetes
    read auth/kubernetes/config
    write auth/kubernetes/config kubernetes_host=http://API kubernetes_ca_cert=@ca.pem token_reviewer_jwt=reviewer
    read auth/kubernetes/config
    login -method=kubernetes role=r jwt=@account.jwt
    write auth/kubernetes/role/r bound_service_account_names=front bound_service_account_namespaces=web audience=vault token_policies=one token_ttl=20m
    read auth/kubernetes/role/r
    list auth/kubernetes/role
    login -method=kubernetes role=r jwt=@account.jwt
    login -method=kubernetes -format=json role=r jwt=@account.jwt
    login -method=kubernetes jwt=@account.jwt
    login -method=kubernetes role=none jwt=@account.jwt
    login -method=kubernetes role=r jwt=x
    write auth/kubernetes/role/r bound_service_account_names=back
    login -method=kubernetes role=r jwt=@account.jwt
    auth enable jwt
    read auth/jwt/config
    write auth/jwt/config jwks_url=http://API/keys jwt_validation_pubkeys=x
    auth list
    auth disable cert
    auth disable jwt
    auth disable elsewhere
    auth enable nonesuch
";
