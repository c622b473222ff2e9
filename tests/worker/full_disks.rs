//! Disks that fill up while codes are minted: the program logs it, waits, and continues by itself once there is space
//! again. Without the right to mount a disk to fill, these tests do nothing.

use std::fs;

use uuid::Uuid;

use codemint_test_support::codemint::finish;
use codemint_test_support::oracle::{Asked, Known, judge};
use codemint_test_support::postgres::{Durability, Server, give_to_postgres};
use codemint_test_support::site::{Site, publish, request};
use codemint_test_support::small_disk::SmallDisk;
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;
use codemint_test_support::worker_steps::end_well;

const MASK: &str = "MY_LITTLE_PROMO????##";
const COUNT: u64 = 300_000;
const NO_ROOM: &str = "the store is out of disk space or memory; waiting";
const CHUNKS_DONE: &str = "select count(*) from chunks where state = 'done'";

#[tokio::test]
async fn sqlite_on_a_full_disk_waits_for_space() {
    let Some(disk) = SmallDisk::mount(256) else { return };
    let place = TestStore::sqlite_in(tempfile::tempdir_in(disk.path()).expect("a directory")).await;
    let elsewhere = tempfile::tempdir().expect("a directory");
    let said = elsewhere.path().join("said");
    let id = Uuid::now_v7();
    let (count, id_text) = (COUNT.to_string(), id.to_string());
    let generate = ["generate", MASK, "--count", &count, "--chunk-size", "1000", "--job-id", &id_text];
    let running = place.codemint(generate).stderr(fs::File::create(&said).expect("a file").into()).start();
    wait_until("a chunk is committed", async || place.number(CHUNKS_DONE).await > 0).await;
    disk.fill();
    let has_said = async || fs::read_to_string(&said).expect("a log").contains(NO_ROOM);
    wait_until("it logs that its disk is full", has_said).await;
    disk.free();
    finish(running).await.expect_code(0);
    let asked = [Asked { id, mask: MASK.to_owned(), count: COUNT }];
    judge(&place, &Known { asked: &asked, ..Known::default() }).await;
}

#[tokio::test]
async fn a_command_that_may_not_wait_ends_on_a_full_disk_and_is_resumed() {
    let Some(disk) = SmallDisk::mount(256) else { return };
    let place = TestStore::sqlite_in(tempfile::tempdir_in(disk.path()).expect("a directory")).await;
    let id = Uuid::now_v7();
    let (count, id_text) = (COUNT.to_string(), id.to_string());
    let generate = ["generate", MASK, "--count", &count, "--chunk-size", "1000", "--job-id", &id_text, "--no-wait"];
    let running = place.codemint(generate).start();
    wait_until("a chunk is committed", async || place.number(CHUNKS_DONE).await > 0).await;
    disk.fill();
    let ended = finish(running).await.expect_code(5);
    assert!(ended.stderr.contains(&format!("jobs resume {id}` resumes the job")), "{}", ended.stderr);
    disk.free();
    place.codemint(["jobs", "resume", &id_text]).run().await.expect_code(0);
    let asked = [Asked { id, mask: MASK.to_owned(), count: COUNT }];
    judge(&place, &Known { asked: &asked, ..Known::default() }).await;
}

#[tokio::test]
async fn a_worker_whose_server_has_a_full_disk_waits_for_space() {
    let Some(disk) = SmallDisk::mount(256) else { return };
    let server = Server::start(Durability::None);
    let space = disk.path().join("space");
    fs::create_dir(&space).expect("a directory");
    give_to_postgres(&space);
    let other = TestStore::postgres_at(&server.url("postgres")).await;
    other.execute(&format!("create tablespace small location '{}'", space.display())).await;
    other.execute("create database small template template0 tablespace small").await;
    let site = Site::new(TestStore::postgres_at(&server.url("small")).await).await;
    let worker = site.start(&[("CODEMINT__JOB__CHUNK_SIZE", "1000")], &[]);
    worker.wait_until_ready().await;
    let peer = site.keep_events().await;
    let id = Uuid::now_v7();
    publish(&peer, &request(id, MASK, COUNT)).await;
    wait_until("a chunk is committed", async || site.count(CHUNKS_DONE).await > 0).await;
    disk.fill();
    worker.wait_until_it_says(NO_ROOM).await;
    disk.free();
    end_well("with space again", site, worker, &[Asked { id, mask: MASK.to_owned(), count: COUNT }]).await;
}
