# The server of docker-compose.yml. Its port is published on the loopback interface of the host alone, so it does without
# TLS; a server that others reach must not.
storage "redb" {
  path = "/var/lib/signet"
}

listener "tcp" {
  address     = "0.0.0.0:8200"
  tls_disable = true
}

api_addr = "http://signet:8200"
