# A workload that serves those alone who have a certificate of the mesh.
set -eu
. /play/certificate.sh
certificate httpbin
exec openssl s_server -accept 8443 -cert chain.pem -cert_chain chain.pem -key key.pem -build_chain \
  -CAfile /credentials/root-cert.pem -Verify 3 -verify_return_error -www
