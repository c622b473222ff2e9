//! A proxy that delays messages to the server by a fixed time, without limiting throughput: a stand-in for a network.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Limit of pieces in flight: far more than can be sent within the delay.
const PIECES_UNDER_WAY: usize = 4096;
const PIECE_BYTES: usize = 64 * 1024;

/// Starts to forward to a port of this machine, and returns the port to connect to.
pub async fn start(server_port: u16, delay: Duration) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", server_port)).await.expect("the server");
            for stream in [&client, &server] {
                stream.set_nodelay(true).expect("a socket");
            }
            let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
            tokio::spawn(carry(from_client, to_server, delay));
            tokio::spawn(carry(from_server, to_client, Duration::ZERO));
        }
    });
    port
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) {
    let (sender, mut under_way) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES_UNDER_WAY);
    let delivering = tokio::spawn(async move {
        while let Some((due, piece)) = under_way.recv().await {
            tokio::time::sleep_until(due).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
    });
    loop {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let Ok(1..) = from.read_buf(&mut piece).await else { break };
        if sender.send((Instant::now() + delay, piece)).await.is_err() {
            break;
        }
    }
    drop(sender);
    let _ended = delivering.await;
}
