//! HTTP as it comes over the wire, from friends and others.

use std::io::Write as _;

use crate::support::{Server, ask, is_closed, read_answer};

#[test]
fn a_connection_serves_many_requests_of_all_kinds() {
    let server = Server::dev();
    let mut stream = server.connect();
    assert_eq!(
        ask(&mut stream, "POST", "/v1/cubbyhole/a", r#"{"b":"1"}"#).status,
        204
    );
    let health = ask(&mut stream, "HEAD", "/v1/sys/health", "");
    assert_eq!((health.status, health.body.as_str()), (200, ""));
    assert_eq!(ask(&mut stream, "LIST", "/v1/cubbyhole", "").status, 200);
    assert_eq!(
        ask(&mut stream, "GET", "/v1/cubbyhole?list=true", "").status,
        200
    );
    assert_eq!(ask(&mut stream, "TRACE", "/v1/cubbyhole/a", "").status, 405);

    let chunked = "POST /v1/cubbyhole/k HTTP/1.1\r\nHost: x\r\nX-Vault-Token: root\r\n\
        Transfer-Encoding: chunked\r\n\r\n4\r\n{\"a\"\r\n3\r\n:1}\r\n0\r\n\r\n";
    stream.write_all(chunked.as_bytes()).unwrap();
    assert_eq!(read_answer(&mut stream, false).status, 204);

    let expecting = "POST /v1/cubbyhole/e HTTP/1.1\r\nHost: x\r\nX-Vault-Token: root\r\n\
        Expect: 100-continue\r\nContent-Length: 7\r\n\r\n";
    stream.write_all(expecting.as_bytes()).unwrap();
    assert_eq!(read_answer(&mut stream, false).status, 100);
    stream.write_all(b"{\"a\":1}").unwrap();
    assert_eq!(read_answer(&mut stream, false).status, 204);

    let twice = "GET /v1/cubbyhole/a HTTP/1.1\r\nHost: x\r\nX-Vault-Token: root\r\n\
        X-Vault-Token: other\r\n\r\n";
    stream.write_all(twice.as_bytes()).unwrap();
    let answer = read_answer(&mut stream, false);
    assert!(
        answer.status == 200 && answer.body.contains("\"b\":\"1\""),
        "{answer:?}"
    );
    drop(stream);
    server.stop();
}

#[test]
fn survives_hostile_requests() {
    let server = Server::dev();
    let long_path = format!("GET /v1/{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(16_384));
    let long_header = format!(
        "GET /v1/sys/health HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n",
        "a".repeat(65_536)
    );
    let many_headers = format!(
        "GET /v1/sys/health HTTP/1.1\r\nHost: x\r\n{}\r\n",
        "a: b\r\n".repeat(1000)
    );
    let smuggled = "POST /v1/cubbyhole/a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    for (request, statuses) in [
        (long_path.as_str(), &[403][..]),
        (&long_header, &[200]),
        (&many_headers, &[431]),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", &[404]),
        ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", &[404]),
        ("CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", &[404]),
        ("FOO /v1/x HTTP/1.1\r\nHost: x\r\n\r\n", &[405]),
        ("GET /v1/\0 HTTP/1.1\r\nHost: x\r\n\r\n", &[400]),
        ("\0\0\0\0\r\n\r\n", &[400]),
        (smuggled, &[400, 403]),
    ] {
        let mut stream = server.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let answer = read_answer(&mut stream, false);
        let start = request.get(..30).unwrap_or(request);
        assert!(statuses.contains(&answer.status), "{start:?}: {answer:?}");
    }
    let mut stream = server.connect();
    let announced = "POST /v1/cubbyhole/a HTTP/1.1\r\nHost: x\r\nX-Vault-Token: root\r\nContent-Length: 99999999999\r\n\r\n";
    stream.write_all(announced.as_bytes()).unwrap();
    assert_eq!(read_answer(&mut stream, false).status, 413);
    assert_eq!(server.ask("GET", "/v1/sys/health", "").status, 200);
    server.stop();
}

#[test]
fn slow_clients_lose_their_connection() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("c.hcl");
    let text = "storage \"inmem\" {}\nlistener \"tcp\" { address = \"127.0.0.1:0\" tls_disable = true\n\
        http_read_header_timeout = \"100ms\" http_idle_timeout = \"300ms\" http_read_timeout = \"100ms\" }";
    std::fs::write(&config, text).unwrap();
    let server = Server::start(&[&format!("-config={}", config.display())]);
    let mut headers = server.connect();
    headers
        .write_all(b"GET /v1/sys/health HTTP/1.1\r\nHost:")
        .unwrap();
    assert!(is_closed(&mut headers));
    let mut idle = server.connect();
    assert_eq!(ask(&mut idle, "GET", "/v1/sys/seal-status", "").status, 200);
    assert!(is_closed(&mut idle));
    let mut body = server.connect();
    body.write_all(b"POST /v1/sys/unseal HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        .unwrap();
    assert_eq!(read_answer(&mut body, false).status, 408);
    server.stop();
}

#[test]
fn running_out_of_files_is_survived() {
    let server = Server::start_in(
        &[
            "-dev",
            "-dev-root-token-id=root",
            "-dev-listen-address=127.0.0.1:0",
        ],
        &[],
    );
    server.limit_files(40);
    let crowd: Vec<_> = (0..60).map(|_| server.connect()).collect();
    server.wait_for_log("connection not accepted");
    drop(crowd);
    assert_eq!(server.ask("GET", "/v1/sys/health", "").status, 200);
    server.stop();
}
