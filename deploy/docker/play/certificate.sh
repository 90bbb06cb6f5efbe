# certificate NAME: a key, and a certificate for the identity of a workload, as cert-manager gets it: log in, sign.
certificate() {
  cd /tmp
  until [ -s /credentials/secret-id ]; do sleep 1; done
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -subj / \
    -addext "subjectAltName=critical,URI:spiffe://cluster.local/ns/httpbin/sa/$1" -out request.pem 2>/dev/null
  VAULT_TOKEN=$(vault write -field=token auth/approle/login \
    role_id="$(cat /credentials/role-id)" secret_id="$(cat /credentials/secret-id)")
  export VAULT_TOKEN
  vault write -field=certificate pki_int_ca/sign/rh-custom-issuer \
    csr=@request.pem uri_sans="spiffe://cluster.local/ns/httpbin/sa/$1" ttl=24h format=pem_bundle >chain.pem
}
