//! Causes faults in the servers: kills and stops them, closes their connections, and fills a disk.

use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};
use tokio::time::sleep;

use crate::ground::Ground;
use crate::lot::Lot;
use codemint_test_support::processes::send_signal;

const STOPPED_FOR: Duration = Duration::from_secs(10);

#[derive(Clone, Copy)]
enum Fault {
    CrashPostgres,
    KillPostgres,
    KillBackend,
    StopPostgres,
    CloseStoreConnections,
    FillLogDisk,
    KillBroker,
    StopBroker,
    CloseBrokerConnections,
}

const ALL: [Fault; 9] = [
    Fault::CrashPostgres,
    Fault::KillPostgres,
    Fault::KillBackend,
    Fault::StopPostgres,
    Fault::CloseStoreConnections,
    Fault::FillLogDisk,
    Fault::KillBroker,
    Fault::StopBroker,
    Fault::CloseBrokerConnections,
];

pub async fn cause(ground: &Ground, mut lot: Lot, until: Instant) {
    // Each fault comes once before any comes twice: a short soak has them all.
    let mut left = Vec::new();
    loop {
        sleep(lot.pause(Duration::from_secs(1), Duration::from_secs(8))).await;
        if Instant::now() >= until {
            return;
        }
        if left.is_empty() {
            left.extend(ALL);
        }
        let fault = left.swap_remove(lot.below(left.len()));
        let chance = lot.below(1000);
        cause_one(ground, fault, chance).await;
    }
}

async fn cause_one(ground: &Ground, fault: Fault, chance: usize) {
    let Ground { postgres, broker, .. } = ground;
    match fault {
        Fault::CrashPostgres => {
            ground.note("restarted PostgreSQL in immediate mode");
            postgres.crash_and_restart();
        }
        Fault::KillPostgres => {
            ground.note("killed all processes of PostgreSQL");
            postgres.kill_9();
            postgres.start_again();
        }
        Fault::KillBackend => kill_backend(ground, chance).await,
        Fault::StopPostgres => {
            ground.note("stopped PostgreSQL for 10 s");
            postgres.signal_all("STOP");
            sleep(STOPPED_FOR).await;
            postgres.signal_all("CONT");
        }
        Fault::CloseStoreConnections => {
            ground.note("closed all connections from PostgreSQL's side");
            let all = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                        where backend_type = 'client backend' and pid <> pg_backend_pid()";
            let mut connection = connect(ground).await;
            sqlx::query(all).execute(&mut connection).await.expect("closed connections");
        }
        Fault::FillLogDisk => fill_log_disk(ground).await,
        Fault::KillBroker => {
            ground.note("killed RabbitMQ");
            broker.kill_9();
            broker.start_again();
        }
        Fault::StopBroker => {
            ground.note("stopped RabbitMQ for 10 s");
            broker.signal_all("STOP");
            sleep(STOPPED_FOR).await;
            broker.signal_all("CONT");
        }
        Fault::CloseBrokerConnections => {
            ground.note("closed all connections from RabbitMQ's side");
            broker.close_all_connections();
        }
    }
}

/// Kills one backend. PostgreSQL then ends all others as well, and recovers.
async fn kill_backend(ground: &Ground, chance: usize) {
    let mut connection = connect(ground).await;
    let others = "select pid::text from pg_stat_activity
                   where backend_type = 'client backend' and pid <> pg_backend_pid() order by pid";
    let others: Vec<String> = sqlx::query_scalar(others).fetch_all(&mut connection).await.expect("backends");
    if !others.is_empty() {
        ground.note("killed a backend of PostgreSQL");
        let _sent = send_signal("KILL", &[others[chance % others.len()].clone()]);
    }
}

/// Fills the disk of the log. PostgreSQL ends when it cannot write its log, and cannot start again without free space.
async fn fill_log_disk(ground: &Ground) {
    let Some(disk) = &ground.log_disk else { return };
    ground.note("filled the disk of PostgreSQL's log for 10 s");
    disk.fill();
    sleep(STOPPED_FOR).await;
    disk.free();
    if !ground.postgres.is_running() {
        ground.count("PostgreSQL had ended because its log disk was full");
        ground.postgres.start_again();
    }
}

/// Connects as soon as the server accepts connections.
async fn connect(ground: &Ground) -> PgConnection {
    loop {
        if let Ok(connection) = PgConnection::connect(&ground.site.store.url).await {
            return connection;
        }
        assert!(ground.postgres.is_running(), "PostgreSQL has ended by itself");
        sleep(Duration::from_millis(50)).await;
    }
}
