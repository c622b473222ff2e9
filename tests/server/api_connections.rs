//! Slow and idle connections to the HTTP API, as many as are allowed: they end, and others are served meanwhile and afterwards.

#![expect(clippy::print_stdout, reason = "the figures that docs/crash-report.md states")]

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::on_stores;
use codemint_test_support::stores::TestStore;

use crate::api_faults::{PREFACE, connect, connect_with, harm, read_all};

/// Returns the number of sockets of a process.
fn sockets(process: u32) -> usize {
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).expect("its files");
    let targets = open.flatten().filter_map(|file| std::fs::read_link(file.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}

/// Returns the maximum number of connections that this process and a server can have, besides others.
fn connections_possible() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("a limit");
    let possible = maximum.map_or(10_000, |maximum| usize::try_from(maximum / 2).expect("a limit").min(10_000));
    if possible < 10_000 {
        println!("this system permits {possible} connections instead of 10,000");
    }
    possible
}

on_stores!([sqlite] ten_thousand_slow_and_idle_connections_are_ended_and_those_that_wait_are_served);
async fn ten_thousand_slow_and_idle_connections_are_ended_and_those_that_wait_are_served(place: TestStore) {
    const OF_EACH: usize = 20;
    let most = connections_possible();
    // One is that of the client who is served meanwhile.
    let silent = most - 1 - 7 * OF_EACH;
    let server = ApiServer::start_with(&place, &[("CODEMINT__SERVER__CONNECTIONS_MAX", &most.to_string())], &[]).await;
    let key = create_key(&place, "manage,redeem").await;
    let post = format!(
        "POST /v1/validations HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
    );
    let process = server.process.child.id().expect("a process");
    // That of the client, and some of the server's own.
    let few = sockets(process) + 2;
    let slow = move |address: SocketAddr| {
        let started = Instant::now();
        let idle = ["", "PRI * HTTP/2", "GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n"];
        let mut idle: Vec<TcpStream> =
            idle.iter().flat_map(|text| (0..OF_EACH).map(move |_| connect_with(address, text.as_bytes()))).collect();
        idle.extend((0..OF_EACH).map(|_| connect_with(address, PREFACE)));
        let heads = ["GET /openapi.json HTTP/1.1\r\nX: ".to_owned(), format!("{post}Content-Length: 9999\r\n\r\n{{")];
        let mut slow: Vec<TcpStream> =
            heads.iter().flat_map(|head| (0..OF_EACH).map(|_| connect_with(address, head.as_bytes()))).collect();
        // Clients that read no answers.
        let requests = b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100);
        idle.extend((0..OF_EACH).map(|_| connect_with(address, &requests)));
        for number in 0..silent {
            // The system drops connections that arrive faster than a busy server accepts them, and the client tries again much later.
            if number % 250 == 0 {
                std::thread::sleep(Duration::from_millis(200));
            }
            idle.push(connect(address));
        }
        println!("{} connections after {:?}", idle.len() + slow.len(), started.elapsed());
        // One more has to wait until one ends.
        let mut waiting = connect_with(address, b"GET /v1/campaigns HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answered = read_all(&mut waiting);
        // On a very slow machine, the first ones have ended already.
        if started.elapsed() < Duration::from_secs(25) {
            assert_eq!(answered, (Vec::new(), false), "there was room for one connection more");
        }
        let (mut is_served, mut left) = (!answered.0.is_empty(), 1);
        while !is_served || left > 0 {
            assert!(started.elapsed() < Duration::from_secs(75), "{left} are left, served: {is_served}");
            slow.retain_mut(|stream| stream.write_all(b" ").is_ok());
            is_served |= waiting.peek(&mut [0; 16]).is_ok_and(|length| length > 0);
            left = slow.len();
            std::thread::sleep(Duration::from_millis(200));
        }
        // A client that reads nothing does not learn of the end.
        while sockets(process) > few {
            assert!(started.elapsed() < Duration::from_secs(90), "{} are left", sockets(process));
            std::thread::sleep(Duration::from_millis(200));
        }
        drop(idle);
        println!("all were ended after {:?}", started.elapsed());
        String::from_utf8([answered.0, read_all(&mut waiting).0].concat()).expect("text")
    };
    let answer = harm(&server, &key, ("slow clients", 300 << 10), slow).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    server.stop().await;
}
