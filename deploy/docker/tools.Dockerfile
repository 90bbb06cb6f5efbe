# A shell, openssl and Signet as a client, for the containers beside the server in docker-compose.yml.
FROM scratch
COPY --chown=65532:65532 .cache/image/tools/ /
COPY --chown=65532:65532 deploy/docker/play/ /play/
USER 65532:65532
ENV HOME=/tmp PATH=/bin OPENSSL_CONF=/play/openssl.cnf VAULT_ADDR=http://signet:8200
ENTRYPOINT ["/bin/sh"]
