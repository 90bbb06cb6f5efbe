"""certbot with an account that has to be bound: a certificate, its renewal, its revocation; prints one line a check."""

import os
import pathlib
import random
import socket
import struct
import subprocess
import tempfile
import threading

from cryptography import x509

from checks import check, equal, run

CERTBOT = os.environ["CONFORMANCE_CERTBOT"]
SCRATCH = tempfile.TemporaryDirectory()
# Where the hosts of this check are; certbot's own web server needs port 80 there.
ADDRESS = f"127.84.{random.randrange(256)}.{random.randrange(1, 255)}"
DIRECTORY = os.environ["VAULT_ADDR"] + "/v1/certbot/roles/web/acme/directory"
NAMES = ["a.example.com", "b.example.com"]


def answer_questions(names):
    """Every name has one address, the one above."""
    while True:
        question, client = names.recvfrom(1500)
        end = question.index(0, 12) + 5
        is_address = struct.unpack(">H", question[end - 4 : end - 2])[0] == 1
        record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(ADDRESS)
        head = question[:2] + b"\x85\x80" + struct.pack(">HHHH", 1, int(is_address), 0, 0)
        names.sendto(head + question[12:end] + (record if is_address else b""), client)


def certbot(*arguments):
    folders = [f"--{name}-dir={SCRATCH.name}/{name}" for name in ("config", "work", "logs")]
    command = [CERTBOT, *arguments, "--non-interactive", *folders]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def certificate():
    live = pathlib.Path(SCRATCH.name, "config/live", NAMES[0], "cert.pem")
    return x509.load_pem_x509_certificate(live.read_bytes())


@check
def certbot_gets_renews_and_revokes_a_certificate(c):
    probe = socket.socket()
    try:
        probe.bind((ADDRESS, 80))
    except OSError as error:
        return f"certbot needs port 80 on the loopback: {error}"
    finally:
        probe.close()
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.bind(("127.0.0.1", 0))
    threading.Thread(target=answer_questions, args=(names,), daemon=True).start()
    headers = ["Replay-Nonce", "Link", "Location"]
    c.sys.enable_secrets_engine("pki", path="certbot", config={"allowed_response_headers": headers})
    write = lambda where, **data: c.write_data(f"certbot/{where}", data=data)
    write("root/generate/internal", common_name="Root", key_type="ec", ttl="700h")
    write("roles/web", allow_any_name=True, key_type="any", require_cn=False)
    write("config/cluster", path=os.environ["VAULT_ADDR"] + "/v1/certbot")
    resolver = "127.0.0.1:%d" % names.getsockname()[1]
    write("config/acme", enabled=True, eab_policy="always-required", dns_resolver=resolver)
    key = write("roles/web/acme/new-eab")["data"]
    account = ["--agree-tos", "--email=a@example.com", f"--eab-kid={key['id']}", f"--eab-hmac-key={key['key']}"]
    standalone = ["--standalone", f"--http-01-address={ADDRESS}", f"--server={DIRECTORY}"]
    certbot("certonly", *account, *standalone, *[f"--domain={name}" for name in NAMES])
    first = certificate()
    shown = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    equal(shown.get_values_for_type(x509.DNSName), NAMES)
    certbot("renew", "--force-renewal", "--no-random-sleep-on-renew")
    assert certificate().serial_number != first.serial_number
    certbot("update_account", "--email=b@example.com", f"--server={DIRECTORY}")
    second = certificate()
    certbot("revoke", f"--cert-name={NAMES[0]}", f"--server={DIRECTORY}")
    octets = second.serial_number.to_bytes(20, "big").hex("-")
    assert octets in c.list("certbot/certs/revoked")["data"]["keys"][0].replace(":", "-")
    certbot("unregister", f"--server={DIRECTORY}")
    c.sys.disable_secrets_engine("certbot")
    return None


run()
