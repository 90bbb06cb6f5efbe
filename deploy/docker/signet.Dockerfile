# Signet and nothing else: one static file. scripts/images puts .cache/image together first.
FROM scratch
COPY --chown=65532:65532 .cache/image/server/ /
USER 65532:65532
ENV HOME=/tmp VAULT_ADDR=http://127.0.0.1:8200
VOLUME /var/lib/signet
EXPOSE 8200
ENTRYPOINT ["/signet"]
CMD ["server", "-config=/etc/signet"]
