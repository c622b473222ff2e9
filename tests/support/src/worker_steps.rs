//! Steps that the tests of workers share: waiting for the end of all jobs, judging the outcome, and reading logs.

use futures_util::StreamExt;
use uuid::Uuid;

use crate::amqp::{Message, Peer};
use crate::codemint::Ran;
use crate::oracle::{Asked, Known, KnownOfBroker, judge, unsettled};
use crate::rabbitmq::{self, Broker};
use crate::site::{DEAD, KEPT, Site, Worker, wait_for_end};
use crate::waiting::wait_until;

/// Collects events until every one of these jobs has ended.
pub async fn take_until_ended(peer: &Peer, ids: &[Uuid]) -> Vec<Message> {
    let mut inbox = peer.consume(KEPT).await;
    for id in ids {
        wait_for_end(&mut inbox, *id).await;
    }
    inbox.messages
}

/// Waits until all requested jobs have ended and their events are published, ends the worker, and judges the outcome.
/// The events must have been kept from the start; they are returned in the order of their arrival.
pub async fn end_well(what: &str, site: Site, worker: Worker, asked: &[Asked]) -> Vec<Message> {
    end_well_at(rabbitmq::shared(), what, site, worker, asked).await
}

/// Does the same as [`end_well`], for a site at another broker.
pub async fn end_well_at(broker: &Broker, what: &str, site: Site, worker: Worker, asked: &[Asked]) -> Vec<Message> {
    end_well_knowing(broker, what, site, worker, Known { asked, ..Known::default() }).await
}

/// Does the same as [`end_well`], where more is known than the requested jobs.
pub async fn end_well_knowing(
    broker: &Broker,
    what: &str,
    site: Site,
    worker: Worker,
    known: Known<'_>,
) -> Vec<Message> {
    judge_site(broker, what, &site, worker, known).await
}

/// Does the same as [`end_well_knowing`] with a site that is used afterwards.
pub async fn judge_site(broker: &Broker, what: &str, site: &Site, worker: Worker, known: Known<'_>) -> Vec<Message> {
    let settled = async || unsettled(&site.store, broker, site.vhost(), known.asked).await.is_none();
    wait_until(&format!("{what}: all jobs have ended and all events are published"), settled).await;
    worker.terminate().await.expect_code(0);
    let peer = site.peer().await;
    let announced = site.store.rows::<(Uuid,)>("select id from jobs where announced");
    let announced: Vec<Uuid> = announced.map(|(id,)| id).collect().await;
    let told = take_until_ended(&peer, &announced).await;
    assert_eq!(peer.depth(DEAD).await, 0, "{what}");
    let broker = KnownOfBroker { broker, vhost: site.vhost(), told: &told, dead: &[], bad: &[] };
    let directories = vec![site.store.path()];
    judge(&site.store, &Known { broker: Some(broker), directories, ..known }).await;
    told
}

/// Returns whether tests run at full length, because time does not matter.
pub fn is_long() -> bool {
    std::env::var_os("CODEMINT_TEST_LONG").is_some()
}

/// Returns the number of codes that a worker reports at its end.
pub fn codes_minted(ran: &Ran) -> i64 {
    let said = ran.stderr.split("it minted ").nth(1).and_then(|rest| rest.split(' ').next());
    said.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no share in {}", ran.stderr))
}

/// Returns the number of committed chunks that a worker with the log level `debug` has logged.
pub fn chunks_said(worker: &Worker) -> usize {
    worker.said().matches("minted a chunk").count()
}
