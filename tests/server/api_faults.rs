//! Hostile clients of the HTTP API: endless ones, malformed ones, and floods. The memory of the server stays bounded, and others
//! are served meanwhile.

#![expect(clippy::print_stdout, reason = "the figures that docs/crash-report.md states")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::on_stores;
use codemint_test_support::stores::TestStore;

use crate::api_limits::send_raw;

/// How long another client waits for an answer at most, on a busy machine.
const OTHERS_WAIT: Duration = Duration::from_secs(5);
/// How long a server that reads and writes no more is silent.
const SILENCE: Duration = Duration::from_millis(500);
/// The preface of a client of HTTP/2, and its settings: none.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
/// The error codes of HTTP/2.
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// Returns the maximum of a server's memory so far, in KiB.
fn peak_of_memory(server: &ApiServer) -> u64 {
    let process = server.process.child.id().expect("a process");
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Does harm to a server while another client is served, and returns what it gave.
///
/// # Panics
/// If the other client waits, or the peak of memory grows by more KiB than it may.
pub(crate) async fn harm<T: Send + 'static>(
    server: &ApiServer,
    key: &str,
    (what, memory_max): (&str, u64),
    harm: impl FnOnce(SocketAddr) -> T + Send + 'static,
) -> T {
    server.get("/v1/campaigns", key).await.expect(200);
    let (before, address) = (peak_of_memory(server), server.address);
    let harming = spawn_blocking(move || harm(address));
    let (mut served, mut slowest) = (0, Duration::ZERO);
    while !harming.is_finished() || served < 3 {
        let started = Instant::now();
        server.get("/v1/campaigns", key).await.expect(200);
        slowest = slowest.max(started.elapsed());
        served += 1;
        sleep(Duration::from_millis(20)).await;
    }
    let result = harming.await.expect("no panic");
    // The system counts memory of threads late, so a maximum may even shrink a little.
    let grown = peak_of_memory(server).saturating_sub(before);
    println!("{what}: memory grew by {grown} KiB; {served} requests of others, the slowest took {slowest:?}");
    assert!(slowest < OTHERS_WAIT, "{what}: others waited for {slowest:?}");
    assert!(grown <= memory_max, "{what}: memory grew by {grown} KiB");
    result
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    // A server that stops reading is noticed by a write that waits.
    stream.set_write_timeout(Some(SILENCE)).expect("a timeout");
    stream.set_read_timeout(Some(SILENCE)).expect("a timeout");
    stream.set_nodelay(true).expect("a socket");
    stream
}

/// Opens a connection and sends this.
pub(crate) fn connect_with(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = connect(address);
    stream.write_all(bytes).expect("a client");
    stream
}

/// Returns what has arrived when nothing more comes for a while, and whether the server has closed the connection. A server that is
/// busy may take longer to begin its answer.
pub(crate) fn read_all(stream: &mut TcpStream) -> (Vec<u8>, bool) {
    let (mut read, mut buffer) = (Vec::new(), [0; 16 << 10]);
    stream.set_read_timeout(Some(OTHERS_WAIT)).expect("a timeout");
    loop {
        let arrived = stream.read(&mut buffer);
        stream.set_read_timeout(Some(SILENCE)).expect("a timeout");
        match arrived {
            Ok(0) => return (read, true),
            Ok(length) => read.extend_from_slice(&buffer[..length]),
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => return (read, false),
            Err(_reset) => return (read, true),
        }
    }
}

/// Sends a head and then the same piece again and again, until the server has answered and reads no more; returns the answer and how
/// many bytes were sent.
fn send_endlessly(address: SocketAddr, head: &[u8], piece: &[u8]) -> (String, usize) {
    let (mut stream, mut sent) = (connect_with(address, head), 0);
    while sent < 200 << 20 && stream.write_all(piece).is_ok() {
        sent += piece.len();
    }
    (String::from_utf8_lossy(&read_all(&mut stream).0).into_owned(), sent)
}

on_stores!([sqlite] bodies_that_never_end_or_are_far_too_long_are_refused);
async fn bodies_that_never_end_or_are_far_too_long_are_refused(place: TestStore) {
    let server = ApiServer::start(&place).await;
    let key = create_key(&place, "redeem,manage").await;
    let head = |key: &str, more: &str| {
        let head = "POST /v1/validations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";
        format!("{head}Authorization: Bearer {key}\r\n{more}\r\n\r\n").into_bytes()
    };
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000)).into_bytes();
    let plain = vec![b' '; 0x10000];
    for (what, head, piece, status) in [
        ("chunks without end", head(&key, "Transfer-Encoding: chunked"), &chunk, 413),
        ("chunks without end and a wrong key", head("cm_none", "Transfer-Encoding: chunked"), &chunk, 401),
        ("a long body", head(&key, "Content-Length: 99999999999"), &plain, 413),
        ("a long body and a wrong key", head("cm_none", "Content-Length: 99999999999"), &plain, 401),
        ("one tiny chunk after another", head(&key, "Transfer-Encoding: chunked"), &b"1\r\n \r\n".repeat(5_000), 413),
    ] {
        let piece = piece.clone();
        let send = move |address| send_endlessly(address, &head, &piece);
        let (answer, sent) = harm(&server, &key, (what, 20 << 10), send).await;
        // The server may reset the connection, which takes the answer from a client that still sends.
        assert!(answer.is_empty() || answer.starts_with(&format!("HTTP/1.1 {status} ")), "{what}: {answer}");
        assert!(sent < 20 << 20, "{what}: {sent} bytes were read");
    }
    // A client that waits for the answer gets it.
    let body = " ".repeat((1 << 20) + 1);
    let long =
        server.send("POST", "/v1/validations", Some(&key), &[("content-type", "application/json")], Some(body)).await;
    long.expect_problem(413, "too-large");
    // A client that asks before it sends its body.
    let expecting = format!("Connection: close\r\nExpect: 100-continue\r\nContent-Length: {}", 5 << 20);
    let mut stream =
        connect_with(server.address, &head(&key, "Connection: close\r\nExpect: 100-continue\r\nContent-Length: 17"));
    let (first, is_closed) = read_all(&mut stream);
    assert_eq!((&*first, is_closed), (&b"HTTP/1.1 100 Continue\r\n\r\n"[..], false));
    stream.write_all(br#"{"code":"NONE  "}"#).expect("a body");
    let answer = String::from_utf8(read_all(&mut stream).0).expect("text");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let (answer, is_closed) = read_all(&mut connect_with(server.address, &head("cm_none", &expecting)));
    let answer = String::from_utf8(answer).expect("text");
    assert!(is_closed && answer.contains("HTTP/1.1 401 "), "{answer}");
    server.stop().await;
}

on_stores!([sqlite] compressed_bodies_are_refused_and_not_decompressed);
async fn compressed_bodies_are_refused_and_not_decompressed(place: TestStore) {
    let server = ApiServer::start(&place).await;
    let key = create_key(&place, "redeem,manage").await;
    let paths = [
        ("POST", "/v1/validations", "application/json"),
        ("PUT", "/v1/redemptions/01890a5d-ac96-774b-bcce-b302099a8057", "application/json"),
        ("POST", "/v1/redemptions:batch", "application/json"),
        ("PUT", "/v1/campaigns/spring", "application/json"),
        ("PUT", "/v1/segments/gold/members", "text/csv"),
        ("PUT", "/v1/affiliates/rules/choc/exclusions", "text/csv"),
    ];
    let before = peak_of_memory(&server);
    for (method, path, content_type) in paths {
        for encoding in ["gzip", "GZIP", "br", "deflate", "zstd", "identity, gzip", "x"] {
            let headers = [("content-type", content_type), ("content-encoding", encoding)];
            // It does not matter what the body is: it is not read.
            let answer = server.send(method, path, Some(&key), &headers, Some("{}".to_owned())).await;
            answer.expect_problem(415, "unsupported-media-type");
        }
    }
    let headers = [("content-type", "application/json"), ("content-encoding", "identity")];
    let body = json!({ "code": "NONE" }).to_string();
    server.send("POST", "/v1/validations", Some(&key), &headers, Some(body)).await.expect(200);
    assert!(peak_of_memory(&server).saturating_sub(before) < 20 << 10);
    server.stop().await;
}

on_stores!([sqlite] malformed_and_ambiguous_requests_are_refused_or_answered_once);
async fn malformed_and_ambiguous_requests_are_refused_or_answered_once(place: TestStore) {
    let server = ApiServer::start(&place).await;
    let key = create_key(&place, "redeem,manage").await;
    let get = |path: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n")
    };
    // What follows a body could be a request that somebody hid in it.
    let hidden = "GET /v1/hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    let smuggle = |headers: &str, body: &str| {
        format!("POST /v1/validations HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n{body}{hidden}")
    };
    let both = |first: &str, second: &str| smuggle(&format!("{first}\r\n{second}"), "0\r\n\r\n");
    let (length, chunked) = (format!("Content-Length: {}", 5 + hidden.len()), "Transfer-Encoding: chunked");
    let refused: &[u16] = &[400];
    for (what, request, statuses) in [
        ("many headers", get(&format!("/ HTTP/1.1\r\n{}X: x", "X: x\r\n".repeat(200))), &[431, 400][..]),
        ("a huge header", get(&format!("/ HTTP/1.1\r\nX: {}\r\nX: x", "x".repeat(1 << 20))), &[431]),
        ("a huge request line", get(&format!("/{}", "x".repeat(1 << 20))), &[414, 431]),
        ("no UTF-8 in a path", get("/v1/campaigns/%ff%fe"), &[422]),
        ("half an escape in a path", get("/v1/campaigns/%f"), &[404, 422]),
        ("an end of line in a path", get("/v1/campaigns/%0d%0aX:%20x"), &[404]),
        ("a zero in a path", get("/v1/campaigns/%00"), &[404, 422]),
        ("a way up in a path", get("/v1/../../etc/passwd"), &[404]),
        ("bytes that are no text", "GET /\u{fe}\u{ff} HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), &[400, 404]),
        ("a length and chunks", both(&length, chunked), &[401]),
        ("chunks and a length", both(chunked, &length), &[401]),
        ("two lengths", smuggle("Content-Length: 5\r\nContent-Length: 6", "aaaaa"), refused),
        ("two lengths in one", smuggle("Content-Length: 5, 6", "aaaaa"), refused),
        ("a length with a sign", smuggle("Content-Length: +5", "aaaaa"), refused),
        ("a length below zero", smuggle("Content-Length: -5", "aaaaa"), refused),
        ("an unknown encoding", smuggle("Transfer-Encoding: xchunked", "0\r\n\r\n"), refused),
        ("chunks that are not last", smuggle("Transfer-Encoding: chunked, identity", "0\r\n\r\n"), refused),
        ("a blank before the colon", smuggle("Transfer-Encoding : chunked", "0\r\n\r\n"), refused),
        ("a folded header", smuggle("X: x\r\n Transfer-Encoding: chunked", ""), refused),
        ("a header without a colon", smuggle("Transfer-Encoding", ""), refused),
        ("a chunk without a length", smuggle(chunked, "zz\r\n\r\n"), &[401]),
        ("a huge chunk", smuggle(chunked, "ffffffffffffffffff\r\n"), &[401]),
        ("chunks in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(), refused),
        ("another protocol", "GET / HTTP/9.9\r\n\r\n".to_owned(), &[400, 505]),
        ("no request", "\0\x01\x02\x03\r\n\r\n".to_owned(), refused),
        ("TLS without TLS", "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03\r\n\r\n".to_owned(), refused),
    ] {
        let request = if what == "bytes that are no text" {
            b"GET /\xfe\xff HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_vec()
        } else {
            request.into_bytes()
        };
        let (answer, time) = send_raw(&server, &request);
        let answers: Vec<&str> = answer.match_indices("HTTP/1.1 ").map(|(at, _)| &answer[at + 9..at + 12]).collect();
        let is_right = matches!(&answers[..], [status] if statuses.iter().any(|known| known.to_string() == *status));
        assert!(is_right, "{what}: {answer:.2000}");
        assert!(time < Duration::from_secs(10), "{what}: the connection stayed open for {time:?}");
    }
    server.get("/v1/campaigns", &key).await.expect(200);
    let log = server.stop().await.stderr;
    assert!(!log.contains("panic") && !log.contains("hidden"), "{log}");
}

on_stores!([sqlite] pipelined_requests_are_answered_in_turn_and_wait_for_a_client_that_does_not_read);
async fn pipelined_requests_are_answered_in_turn_and_wait_for_a_client_that_does_not_read(place: TestStore) {
    let server = ApiServer::start(&place).await;
    let key = create_key(&place, "manage").await;
    let get = "GET /v1/campaigns HTTP/1.1\r\nHost: a\r\n\r\n".repeat(500);
    let last = "GET /v1/campaigns HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let (answers, _) = send_raw(&server, format!("{get}{last}").as_bytes());
    assert_eq!(answers.matches("HTTP/1.1 401").count(), 501);
    let flood = |address| {
        let request = b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1_000);
        let mut streams: Vec<TcpStream> = (0..10).map(|_| connect(address)).collect();
        let mut sent = 0;
        for stream in &mut streams {
            while sent < 1 << 30 && stream.write_all(&request).is_ok() {
                sent += request.len();
            }
        }
        sent
    };
    let sent = harm(&server, &key, ("answers that nobody reads", 60 << 10), flood).await;
    assert!(sent < 1 << 30, "{sent} bytes of requests were read, and no answer");
    server.stop().await;
}

/// A frame of HTTP/2. <https://www.rfc-editor.org/rfc/rfc9113#section-4.1>
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The headers of a request, each a number of the static table or a literal. <https://www.rfc-editor.org/rfc/rfc7541>
pub(crate) fn headers(method: &[u8], path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let literal = |text: &str| [&[u8::try_from(text.len()).expect("a short text")], text.as_bytes()].concat();
    let mut block = [method, &[0x86, 0x01, 1, b'a', 0x04], &literal(path)].concat();
    for (name, value) in more {
        block.extend([&[0][..], &literal(name), &literal(value)].concat());
    }
    block
}

/// Methods: two of the table, and one as a literal.
pub(crate) const GET: &[u8] = &[0x82];
const POST: &[u8] = &[0x83];
const PUT: &[u8] = &[0x02, 3, b'P', b'U', b'T'];

/// The kind, the flags, the stream and the payload of a frame of HTTP/2.
pub(crate) type Frame = (u8, u8, u32, Vec<u8>);

/// Returns each whole frame.
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let [a, b, c, kind, flags, s, t, u, v, rest @ ..] = bytes {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let Some(payload) = rest.get(..length) else { break };
        frames.push((*kind, *flags, u32::from_be_bytes([*s, *t, *u, *v]), payload.to_vec()));
        bytes = &rest[length..];
    }
    frames
}

/// The last four bytes of a frame that ends a stream or a connection.
fn error_of(kind: u8, payload: &[u8]) -> Option<u32> {
    let at = if kind == GO_AWAY { 4 } else { 0 };
    Some(u32::from_be_bytes(payload.get(at..at + 4)?.try_into().ok()?))
}

/// Sends pieces over HTTP/2 until they are all sent, or the server reads no more; returns the server's frames, whether it has closed the
/// connection, and the number of bytes that were sent.
fn flood(address: SocketAddr, pieces: impl Iterator<Item = Vec<u8>>) -> (Vec<Frame>, bool, usize) {
    let (mut stream, mut sent) = (connect_with(address, PREFACE), 0);
    for piece in pieces {
        if stream.write_all(&piece).is_err() {
            break;
        }
        sent += piece.len();
    }
    let (read, is_closed) = read_all(&mut stream);
    (frames(&read), is_closed, sent)
}

on_stores!([sqlite] floods_of_http_2_are_cut_off);
async fn floods_of_http_2_are_cut_off(place: TestStore) {
    let server = ApiServer::start(&place).await;
    let key = create_key(&place, "manage").await;
    let streams = || (1..).step_by(2);

    // Streams that are opened and reset at once.
    let resets = move |address| {
        let pieces = streams().take(20_000).map(|stream| {
            let reset = frame(RESET, 0, stream, &8_u32.to_be_bytes());
            [frame(HEADERS, END_HEADERS | END_STREAM, stream, &headers(GET, "/v1/campaigns", &[])), reset].concat()
        });
        // Many arrive together.
        let pieces: Vec<Vec<u8>> = pieces.collect();
        flood(address, pieces.chunks(500).map(<[Vec<u8>]>::concat))
    };
    let (answered, is_closed, _) = harm(&server, &key, ("resets", 20 << 10), resets).await;
    let calmed = answered
        .iter()
        .any(|(kind, _, _, payload)| *kind == GO_AWAY && error_of(*kind, payload) == Some(ENHANCE_YOUR_CALM));
    assert!(calmed || is_closed, "resets: {}", answered.len());

    // Requests whose bodies never come.
    let authorization = format!("Bearer {key}");
    let open = move |address| {
        let more = [("authorization", &*authorization), ("content-type", "application/json")];
        let head = headers(PUT, "/v1/campaigns/spring", &more);
        flood(address, streams().take(1_000).map(|stream| frame(HEADERS, END_HEADERS, stream, &head)))
    };
    let (answered, ..) = harm(&server, &key, ("open streams", 20 << 10), open).await;
    let refused = answered
        .iter()
        .filter(|(kind, _, _, payload)| *kind == RESET && error_of(*kind, payload) == Some(REFUSED_STREAM));
    assert_eq!(refused.count(), 800, "200 streams may be open at a time");

    // Headers that never end.
    let continued = move |address| {
        let first = frame(HEADERS, END_STREAM, 1, &headers(GET, "/v1/campaigns", &[]));
        let literal = [&[0x00, 1, b'x', 0x7f, 0x81, 0x7e][..], &[b'x'; 16_256]].concat();
        let more = frame(CONTINUATION, 0, 1, &literal[..16_000]);
        flood(address, std::iter::once(first).chain(std::iter::repeat_n(more, 20_000)))
    };
    let (_, is_closed, sent) = harm(&server, &key, ("continuations", 20 << 10), continued).await;
    assert!(is_closed && sent < 20 << 20, "continuations: {sent}, {is_closed}");
    let empty = move |address| {
        let first = frame(HEADERS, END_STREAM, 1, &headers(GET, "/v1/campaigns", &[]));
        let more = frame(CONTINUATION, 0, 1, &[]).repeat(1_000);
        flood(address, std::iter::once(first).chain(std::iter::repeat_n(more, 2_000)))
    };
    let (_, is_closed, sent) = harm(&server, &key, ("empty continuations", 20 << 10), empty).await;
    assert!(is_closed && sent < 5 << 20, "empty continuations: {sent}, {is_closed}");

    // Frames that ask for an answer, which nobody reads.
    for (what, kind, payload) in [
        ("pings", PING, vec![0; 8]),
        ("settings", SETTINGS, [0, 3, 0, 0, 0, 100].repeat(100)),
        ("empty data", DATA, Vec::new()),
    ] {
        let ask = move |address| {
            let pieces = frame(kind, 0, u32::from(kind == DATA), &payload).repeat(1_000);
            let first = frame(HEADERS, END_HEADERS, 1, &headers(POST, "/v1/validations", &[]));
            flood(address, std::iter::once(first).chain(std::iter::repeat_n(pieces, 2_000)))
        };
        harm(&server, &key, (what, 20 << 10), ask).await;
    }

    // Answers that the client has no room for.
    let unread = move |address| {
        let no_window = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
        let head = headers(GET, "/openapi.json", &[]);
        let all: Vec<u8> =
            streams().take(200).flat_map(|stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &head)).collect();
        let bytes = [PREFACE, &no_window, &all].concat();
        let streams: Vec<TcpStream> = (0..50).map(|_| connect_with(address, &bytes)).collect();
        std::thread::sleep(Duration::from_secs(1));
        streams.len()
    };
    harm(&server, &key, ("answers without room", 100 << 10), unread).await;
    server.stop().await;
}
