# A workload that calls httpbin: with its certificate, which must work, and without one, which must not.
set -eu
. /play/certificate.sh
certificate sleep

# With arguments for the client's side; prints what openssl and the server say.
call() {
  printf 'GET / HTTP/1.0\r\n\r\n' |
    openssl s_client -connect httpbin:8443 -showcerts -verify 3 -verify_return_error -ign_eof \
      -CAfile /credentials/root-cert.pem "$@" 2>&1
}

tries=0
until call -cert chain.pem -cert_chain chain.pem -key key.pem >answer.txt; do
  tries=$((tries + 1))
  [ "$tries" -lt 60 ] || { cat answer.txt; echo "httpbin does not answer"; exit 1; }
  sleep 1
done
sed -n '/^depth=/p; /^ [0-9] s:/p; /Verify return code/p' answer.txt
grep -q '^depth=2 .*RH Custom Root CA' answer.txt
grep -q 'Verify return code: 0 (ok)' answer.txt
grep -q 'HTTP/1.0 200' answer.txt
echo "httpbin answered sleep over mutual TLS"

if call >refused.txt && grep -q 'HTTP/1.0 200' refused.txt; then
  echo "httpbin answered a client without a certificate"
  exit 1
fi
echo "httpbin refused a client without a certificate"
