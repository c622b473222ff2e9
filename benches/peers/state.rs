//! The states of the store in which contenders are compared; each differs from the first one in a single factor.

use std::time::Duration;

use crate::contender::Contender;
use crate::ground::{Ground, Job};
use crate::table::Table;

const REPETITIONS: usize = 3;
const MILLION: u64 = 1_000_000;
const PREFIX: &str = "MY_LITTLE_PROMO";
/// The name of the database that is copied before each run.
const KEPT: &str = "kept";

#[derive(Debug)]
pub struct State {
    pub name: &'static str,
    title: &'static str,
    count: u64,
    /// Codes of other prefixes, in millions. Each run adds its own prefix to them, and no database is copied.
    others: u64,
    /// Codes of the same mask, minted by Codemint.
    same_mask: u64,
    unflushed: bool,
    latency: Duration,
    with_shops: bool,
    /// Bound on Codemint's time relative to the target.
    pub ratio_max: Option<f64>,
}

const FIRST: State = State {
    name: "empty",
    title: "1 M codes into an empty table",
    count: MILLION,
    others: 0,
    same_mask: 0,
    unflushed: false,
    latency: Duration::ZERO,
    with_shops: true,
    ratio_max: Some(1.10),
};
const OTHER: State = State { with_shops: false, ratio_max: None, ..FIRST };

impl State {
    pub const ALL: [Self; 8] = [
        FIRST,
        Self { name: "small", title: "10 k codes into an empty table", count: 10_000, ..OTHER },
        Self {
            name: "large",
            title: "10 M codes into an empty table",
            count: 10 * MILLION,
            ratio_max: Some(1.10),
            ..OTHER
        },
        Self { name: "amid_10", title: "1 M codes amid 10 M of other prefixes", others: 10, ..OTHER },
        Self {
            name: "amid_50",
            title: "1 M codes amid 50 M of other prefixes",
            others: 50,
            ratio_max: Some(1.10),
            ..OTHER
        },
        Self { name: "crowded", title: "1 M codes over 10 M of the same mask", same_mask: 10 * MILLION, ..OTHER },
        Self {
            name: "unflushed",
            title: "1 M codes into an empty table, `synchronous_commit = off`",
            unflushed: true,
            with_shops: true,
            ..OTHER
        },
        Self {
            name: "latency",
            title: "1 M codes into an empty table, a millisecond away",
            latency: Duration::from_millis(1),
            with_shops: true,
            ..OTHER
        },
    ];

    pub fn named(name: &str) -> Option<&'static Self> {
        const { &Self::ALL }.iter().find(|state| state.name == name)
    }

    pub async fn measure(&self, ground: &Ground) -> Table {
        let commit = if self.unflushed { "off" } else { "on" };
        ground.on_server(&format!("alter system set synchronous_commit = {commit}")).await;
        ground.on_server("select pg_reload_conf()").await;
        ground.make_empty().await;
        self.prepare(ground).await;
        let mut contenders = Contender::WITHOUT_SHOPS.to_vec();
        if self.with_shops {
            contenders.extend(Contender::SHOPS);
        }
        let mut table = Table::new(self.title, self.ratio_max, self.count, &contenders);
        for repetition in 0..REPETITIONS {
            // Neighbours stay neighbours, but another contender begins.
            contenders.rotate_left(repetition);
            for &contender in &contenders {
                let job = self.job(repetition, contender);
                if self.others > 0 {
                    ground.write_files(&job);
                } else {
                    ground.restore(KEPT).await;
                }
                table.add(contender, ground.measure(contender, &job).await);
            }
        }
        table
    }

    fn job(&self, repetition: usize, contender: Contender) -> Job {
        let prefix = match self.others {
            0 => PREFIX.to_owned(),
            others => {
                let place = Contender::WITHOUT_SHOPS.iter().position(|known| *known == contender).unwrap_or_default();
                let number = others as usize * 100 + place * REPETITIONS + repetition;
                let letter = char::from(b'A' + u8::try_from(number * 11 % 26).expect("a letter"));
                format!("{letter}M_PROMO_{number:06}")
            }
        };
        Job { prefix, count: self.count, latency: self.latency }
    }

    async fn prepare(&self, ground: &Ground) {
        if self.others > 0 {
            ground.add_others(0, self.others).await;
            return;
        }
        let job = self.job(0, Contender::Codemint);
        if self.same_mask == 0 {
            ground.write_files(&job);
            ground.keep_as(KEPT).await;
            return;
        }
        let crowd = Job { count: self.same_mask, latency: Duration::ZERO, ..job.clone() };
        ground.measure(Contender::Codemint, &crowd).await;
        ground.keep_as(KEPT).await;
        ground.restore(KEPT).await;
        ground.measure(Contender::Codemint, &job).await;
        ground.write_files_of_last_job().await;
    }
}
