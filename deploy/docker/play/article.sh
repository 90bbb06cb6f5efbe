# Sets the server up as the article does: a root, an intermediate, a role, an AppRole. What is there already stays, so it
# can run again, for example to unseal the server after a restart.
set -eu
umask 077

answered() { vault status >/dev/null 2>&1 || [ $? -eq 2 ]; }
until answered; do sleep 1; done

if [ ! -s /keys/init.json ]; then
  vault operator init -key-shares=1 -key-threshold=1 -format=json >/keys/init.new
  # One line in each, as jq would read them.
  sed -n '/"unseal_keys_b64"/{n;s/[ ",]//g;p;}' /keys/init.new >/keys/unseal-key
  sed -n 's/.*"root_token": "\(.*\)".*/\1/p' /keys/init.new >/keys/root-token
  cat /keys/init.new >/keys/init.json
fi
vault operator unseal "$(cat /keys/unseal-key)" >/dev/null
VAULT_TOKEN=$(cat /keys/root-token)
export VAULT_TOKEN

if ! vault read pki_int_ca/roles/rh-custom-issuer >/dev/null 2>&1; then
  cd /tmp
  vault secrets enable pki
  vault secrets tune -max-lease-ttl=87600h pki
  vault write -field=certificate pki/root/generate/internal \
    max_path_length=1 common_name="RH Custom Root CA" ou="RH-FSI" organization="Red Hat Consulting" country="US" \
    ttl=87600h issuer_name="rh-custom-root-ca" key_bits=4096 >root.pem

  vault secrets enable -path=pki_int_ca pki
  vault secrets tune -max-lease-ttl=43800h pki_int_ca
  vault write -field=csr pki_int_ca/intermediate/generate/internal \
    require_cn=false max_path_length=0 common_name="RH Custom Intermediate CA" ou="RH-FSI" \
    organization="Red Hat Consulting" country="US" issuer_name="rh-custom-intermediate-ca" key_bits=4096 >intermediate.csr
  vault write -field=certificate pki/root/sign-intermediate \
    max_path_length=0 common_name="RH Custom Intermediate CA" ou="RH-FSI" organization="Red Hat Consulting" \
    country="US" ttl=43800h format=pem_bundle issuer_ref="rh-custom-root-ca" csr=@intermediate.csr >intermediate.pem
  vault write pki_int_ca/intermediate/set-signed certificate=@intermediate.pem

  echo 'path "pki_int_ca/sign/rh-custom-issuer" { capabilities = ["create", "update"] }' |
    vault policy write rh-vault-pki -
  vault auth enable approle
  vault write auth/approle/role/rh-vault-pki-role token_policies=rh-vault-pki \
    secret_id_ttl=0 token_num_uses=10 token_ttl=10m token_max_ttl=15m secret_id_num_uses=0
  # Last: it says that everything is there.
  vault write pki_int_ca/roles/rh-custom-issuer \
    allow_any_name=true allow_uri_sans=true allow_ip_sans=true ou="RH-SPPRT" organization="Red Hat Consulting" \
    country="US" key_type=any use_csr_common_name=true ttl=4380h max_ttl=4380h enforce_hostnames=false \
    allow_bare_domains=true require_cn=false \
    allowed_uri_sans="istio-system.svc, opentlc.com, cluster.local, spiffe://*" >/dev/null
fi

signet mesh root pki_int_ca >/credentials/root-cert.pem
vault read -field=role_id auth/approle/role/rh-vault-pki-role/role-id >/credentials/role-id
vault write -f -field=secret_id auth/approle/role/rh-vault-pki-role/secret-id >/credentials/secret-id.new
cat /credentials/secret-id.new >/credentials/secret-id
echo "the mesh has its certificate authority"
