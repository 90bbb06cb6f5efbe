"""Envoy with secrets in files that it watches, and the two configurations of the mesh."""

import json
import os
import subprocess

TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
HTTP = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
FILE_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
CALLER = "x-caller"
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


class Envoy:
    """`static` makes the static resources; `identities` is whom it takes at all, None for anybody."""

    def __init__(self, folder, static, identities=None):
        self.folder, self.static, self.process, self.published = folder, static, None, 0
        self.secrets = folder / "secrets"
        self.secrets.mkdir(parents=True)
        watched = {"watched_directory": {"path": str(self.secrets)}}
        self.resource("default", {"tls_certificate": {
            "certificate_chain": self.file("chain.pem"), "private_key": self.file("key.pem"), **watched,
        }})
        accepted = {"match_typed_subject_alt_names": [identities]} if identities else {}
        self.resource("ROOTCA", {"validation_context": {"trusted_ca": self.file("roots.pem"), **watched, **accepted}})

    def file(self, name):
        return {"filename": str(self.secrets / "now" / name)}

    def resource(self, name, body):
        text = json.dumps({"resources": [{"@type": f"{TLS}.Secret", "name": name, **body}]})
        (self.folder / f"{name}.json").write_text(text)

    def secret(self, name):
        source = {"path_config_source": {"path": str(self.folder / f"{name}.json")}, "resource_api_version": "V3"}
        return {"name": name, "sds_config": source}

    def tls(self, **validation):
        return {
            "tls_certificate_sds_secret_configs": [self.secret("default")],
            "combined_validation_context": {
                "default_validation_context": validation,
                "validation_context_sds_secret_config": self.secret("ROOTCA"),
            },
        }

    def give(self, pair):
        """Swaps all files at once, as Kubernetes does with mounted secrets."""
        self.published += 1
        fresh = self.secrets / f"v{self.published}"
        fresh.mkdir()
        for name, text in (("key.pem", pair.key), ("chain.pem", pair.chain), ("roots.pem", pair.roots)):
            (fresh / name).write_text(text)
        link = self.secrets / "next"
        link.symlink_to(fresh.name)
        link.rename(self.secrets / "now")

    def start(self):
        config = self.folder / "envoy.json"
        config.write_text(json.dumps({"static_resources": self.static(self)}))
        with open(self.folder / "log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [os.environ["CONFORMANCE_ENVOY"], "-c", str(config), "--disable-hot-restart", "--concurrency", "1",
                 "--log-level", "warning", "--service-node", self.folder.name, "--service-cluster", "mesh",
                 "--file-flush-interval-msec", "50"],
                stdout=log, stderr=log,
            )

    def connections(self):
        """Why the handshake of each connection that has ended failed, `-` if it did not, by the client's port."""
        path = self.folder / "connections"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        ended = (line.split(" ", 1) for line in lines if line.endswith("\n"))
        return {int(port): reason.strip() for port, reason in ended}

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()


def inbound(port):
    """Tells whoever has a certificate that is taken which one that is."""
    certificate = "%DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_PEER_FINGERPRINT_256%"
    caller = {"header": {"key": CALLER, "value": certificate}}
    answer = {"direct_response": {"status": 200}, "response_headers_to_add": [caller]}

    def static(envoy):
        socket = {"require_client_certificate": True, "common_tls_context": envoy.tls()}
        ended = {"name": "file", "typed_config": {
            "@type": FILE_LOG, "path": str(envoy.folder / "connections"),
            "log_format": {"text_format_source": {
                "inline_string": "%DOWNSTREAM_REMOTE_PORT% %DOWNSTREAM_TRANSPORT_FAILURE_REASON%\n",
            }},
        }}
        return {"listeners": [{**listener(port, answer, socket), "access_log": [ended]}]}

    return static


def outbound(upstream_port, clusters):
    """Plain HTTP on a port for each expected identity of the upstream."""

    def static(envoy):
        return {
            "listeners": [listener(port, {"route": {"cluster": identity}}) for port, identity in clusters.items()],
            "clusters": [cluster(envoy, identity, upstream_port) for identity in clusters.values()],
        }

    return static


def cluster(envoy, identity, port):
    endpoint = {"endpoint": {"address": address(port)}}
    expected = [{"san_type": "URI", "matcher": {"exact": identity}}]
    common = envoy.tls(match_typed_subject_alt_names=expected)
    return {
        "name": identity,
        "type": "STATIC",
        "load_assignment": {"cluster_name": identity, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "transport_socket": {"name": "tls", "typed_config": {
            "@type": f"{TLS}.UpstreamTlsContext", "common_tls_context": common, "max_session_keys": 0,
        }},
        # A handshake for every request, so that each shows what holds now.
        "typed_extension_protocol_options": {OPTIONS: {
            "@type": f"type.googleapis.com/{OPTIONS}",
            "explicit_http_config": {"http_protocol_options": {}},
            "common_http_protocol_options": {"max_requests_per_connection": 1},
        }},
    }


def listener(port, route, socket=None):
    hosts = [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, **route}]}]
    manager = {
        "@type": HTTP, "stat_prefix": "http", "route_config": {"virtual_hosts": hosts},
        "http_filters": [{"name": "router", "typed_config": {"@type": ROUTER}}],
        # What the proxy answers by itself says why the upstream's handshake failed.
        "local_reply_config": {"body_format": {"text_format_source": {
            "inline_string": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
        }}},
    }
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    if socket:
        chain["transport_socket"] = {
            "name": "tls", "typed_config": {"@type": f"{TLS}.DownstreamTlsContext", **socket},
        }
    return {"address": address(port), "filter_chains": [chain]}


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
