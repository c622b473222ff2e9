//! A trace collector: it receives OTLP over HTTP, and decodes as much of it as the tests need.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// A collector that listens until the test ends.
#[derive(Debug)]
pub struct Collector {
    pub address: SocketAddr,
    spans: Arc<Mutex<Vec<CollectedSpan>>>,
}

/// A received span. Ids are in hexadecimal, as in `traceparent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectedSpan {
    pub trace: String,
    pub id: String,
    /// Empty for the first span of a trace.
    pub parent: String,
    pub name: String,
    /// The trace id and the span id of each link.
    pub links: Vec<(String, String)>,
    /// The whole encoded span, to search for what it must not contain.
    pub bytes: Vec<u8>,
}

impl Collector {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let spans = Arc::<Mutex<Vec<CollectedSpan>>>::default();
        let collected = Arc::clone(&spans);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, collected) = (stream.expect("a connection"), Arc::clone(&collected));
                std::thread::spawn(move || serve(stream, &collected));
            }
        });
        Self { address, spans }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn spans(&self) -> Vec<CollectedSpan> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Serves request after request until the client has gone.
fn serve(stream: TcpStream, collected: &Mutex<Vec<CollectedSpan>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut first = String::new();
        reader.read_line(&mut first).ok().filter(|bytes| *bytes > 0)?;
        assert!(first.starts_with("POST /v1/traces "), "{first}");
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            let header = header.trim().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        collected.lock().unwrap_or_else(PoisonError::into_inner).extend(spans_of(&body));
        let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
        (&stream).write_all(answer.as_bytes()).ok()?;
    }
}

/// Decodes resources, scopes and spans by the field numbers of `opentelemetry/proto/trace/v1/trace.proto`.
fn spans_of(request: &[u8]) -> Vec<CollectedSpan> {
    let resources = of_number(request, 1);
    let scopes = resources.into_iter().flat_map(|resource| of_number(resource, 2));
    let spans = scopes.flat_map(|scope| of_number(scope, 2));
    let span = |bytes: &[u8]| CollectedSpan {
        trace: hexadecimal(bytes, 1),
        id: hexadecimal(bytes, 2),
        parent: hexadecimal(bytes, 4),
        name: String::from_utf8_lossy(of_number(bytes, 5).first().copied().unwrap_or_default()).into_owned(),
        links: of_number(bytes, 13).into_iter().map(|link| (hexadecimal(link, 1), hexadecimal(link, 2))).collect(),
        bytes: bytes.to_vec(),
    };
    spans.map(span).collect()
}

fn hexadecimal(message: &[u8], number: u64) -> String {
    let bytes = of_number(message, number).first().copied().unwrap_or_default();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the length-delimited fields with this number; see <https://protobuf.dev/programming-guides/encoding/>.
fn of_number(mut message: &[u8], number: u64) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        let length = match tag & 7 {
            0 => {
                varint(&mut message);
                0
            }
            1 => 8,
            2 => usize::try_from(varint(&mut message)).expect("a length"),
            5 => 4,
            other => panic!("unknown kind of field: {other}"),
        };
        let (field, rest) = message.split_at(length);
        message = rest;
        if tag >> 3 == number && tag & 7 == 2 {
            found.push(field);
        }
    }
    found
}

fn varint(message: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first().expect("a byte");
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}
