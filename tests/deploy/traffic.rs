//! Customers who redeem codes over HTTP for as long as a test lets them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use codemint_test_support::api::ApiServer;
use codemint_test_support::waiting::wait_until;
use serde_json::json;
use uuid::Uuid;

const CUSTOMERS: usize = 3;
/// Between two redemptions of a customer.
const PAUSE: Duration = Duration::from_millis(5);

/// A redemption that the server has confirmed.
#[derive(Clone, Debug)]
pub struct Redeemed {
    pub id: Uuid,
    pub code: String,
}

/// Redemptions of codes, each once, in the order of their answers.
#[derive(Debug)]
pub struct Traffic {
    shared: Arc<Shared>,
    customers: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    codes: Mutex<VecDeque<String>>,
    redeemed: Mutex<Vec<Redeemed>>,
    stops: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Traffic {
    pub fn start(server: &ApiServer, key: &str, codes: Vec<String>) -> Self {
        let shared = Arc::new(Shared { codes: Mutex::new(codes.into()), ..Shared::default() });
        let customer = |_| {
            let (shared, key, address) = (Arc::clone(&shared), key.to_owned(), server.address);
            std::thread::spawn(move || shared.redeem_until_stopped(address, &key))
        };
        let customers = (0..CUSTOMERS).map(customer).collect();
        Self { shared, customers }
    }

    /// Returns the number of redemptions so far.
    pub fn count(&self) -> usize {
        lock(&self.shared.redeemed).len()
    }

    pub async fn wait_for_more(&self, count: usize) {
        let wanted = self.count() + count;
        wait_until("redemptions", async || self.count() >= wanted).await;
    }

    /// Ends all customers, and returns their redemptions.
    pub async fn stop(self) -> Vec<Redeemed> {
        self.shared.stops.store(true, Ordering::Relaxed);
        for customer in self.customers {
            customer.join().expect("a customer");
        }
        lock(&self.shared.redeemed).clone()
    }
}

impl Shared {
    fn redeem_until_stopped(&self, address: SocketAddr, key: &str) {
        while !self.stops.load(Ordering::Relaxed) {
            let Some(code) = lock(&self.codes).pop_front() else { return };
            let id = Uuid::now_v7();
            let request = ureq::put(format!("http://{address}/v1/redemptions/{id}"))
                .header("authorization", format!("Bearer {key}"))
                .header("content-type", "application/json");
            let answer = request.send(json!({ "code": code }).to_string()).expect("a confirmed redemption");
            assert_eq!(answer.status().as_u16(), 201);
            lock(&self.redeemed).push(Redeemed { id, code });
            std::thread::sleep(PAUSE);
        }
    }
}
