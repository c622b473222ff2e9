//! What do generation and redemption take from each other in the same store?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use codemint_campaigns::redeeming::Redeemer;
use codemint_test_support::postgres::Server;
use codemint_test_support::redeem_steps::{create_campaign, definition, judge_redemptions};
use codemint_test_support::stores::TestStore;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::measure::median;
use crate::process::{Took, cpu_seconds, measure, server_cpu_seconds};
use crate::{QUOTA, TIME, place, redeem, redeemer};

const ROUNDS: usize = 3;
const GENERATED: u64 = 2_000_000;
const CALLERS: usize = 512;
/// So many that nearly every use is the first of its code. A faster machine begins again with the first code.
const PRIVATE_CODES: i128 = 1_000_000;
/// The callers ask for this long before anything is measured.
const WARM_UP: Duration = Duration::from_secs(1);

/// Callers who use codes until they are stopped.
struct Callers {
    granted: Arc<AtomicU64>,
    is_stopped: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

/// Rates, and CPU seconds a second: what the processes occupied of the cores.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    generated: f64,
    redeemed: f64,
    /// CPU seconds of the generating process for the whole job.
    generator_cpu_seconds: f64,
    generator_cores: f64,
    redeemer_cores: f64,
    server_cores: f64,
}

pub async fn measure_beside(server: &Server) {
    let (place, _url) = place(server, "beside").await;
    let limits = json!({ "limits": { "per_code": QUOTA, "redeemed": QUOTA } });
    let definition = definition("spring", "private", "SPRING-[:safe:]{10}", &limits);
    create_campaign(&place, &definition, PRIVATE_CODES).await;
    let codes = Arc::new(place.texts("select code from codes order by md5(code)").await);
    let (redeemer, used) = (redeemer(&place).await, Arc::new(AtomicU64::new(0)));
    let mut rounds = Vec::new();
    println!(
        "{GENERATED} codes beside {CALLERS} callers of private codes\n{:12} {:>10} {:>10} {:>16} {:>10} {:>10} {:>10}",
        "", "codes/s", "uses/s", "generator CPU s", "its cores", "redeemer", "server"
    );
    for round in 0..ROUNDS {
        let generation = generate(&place, server, 2 * round).await;
        generation.print("generation");
        let callers = Callers::start(&redeemer, &codes, &used);
        tokio::time::sleep(WARM_UP).await;
        let redemption = measure_callers(&callers, server).await;
        redemption.print("redemption");
        let both = generate_beside(&callers, &place, server, 2 * round + 1).await;
        both.print("both");
        callers.stop().await;
        rounds.push([generation, redemption, both]);
    }
    judge_redemptions(&place).await;
    print_shares(&rounds);
}

fn print_shares(rounds: &[[Figures; 3]]) {
    let middle = |of: fn(&[Figures; 3]) -> f64| median(&rounds.iter().map(of).collect::<Vec<_>>());
    println!(
        "median of {ROUNDS} rounds: generation keeps {:.2} of its speed ({:.0}/s alone, {:.0}/s beside), redemption {:.2} \
         ({:.0}/s alone, {:.0}/s beside)",
        middle(|[alone, _, both]| both.generated / alone.generated),
        middle(|[alone, ..]| alone.generated),
        middle(|[.., both]| both.generated),
        middle(|[_, alone, both]| both.redeemed / alone.redeemed),
        middle(|[_, alone, _]| alone.redeemed),
        middle(|[.., both]| both.redeemed),
    );
}

/// Mints codes of a fresh prefix in a process of its own.
async fn generate(place: &TestStore, server: &Server, number: usize) -> Figures {
    let took = time_generation(place, server, number).await;
    Figures { server_cores: took.server_cpu_seconds / took.seconds, ..Figures::of_generation(&took) }
}

async fn time_generation(place: &TestStore, server: &Server, number: usize) -> Took {
    let (mask, count) = (format!("GENERATED{number}-[:safe:]{{10}}"), GENERATED.to_string());
    measure(place.codemint(["generate", &mask, "--count", &count]).into_command(), server).await
}

async fn measure_callers(callers: &Callers, server: &Server) -> Figures {
    let (before, granted_before) = (cpu(server), callers.granted());
    let started = Instant::now();
    tokio::time::sleep(TIME).await;
    let seconds = started.elapsed().as_secs_f64();
    let after = cpu(server);
    Figures {
        redeemed: (callers.granted() - granted_before) as f64 / seconds,
        redeemer_cores: (after.0 - before.0) / seconds,
        server_cores: (after.1 - before.1) / seconds,
        ..Figures::default()
    }
}

async fn generate_beside(callers: &Callers, place: &TestStore, server: &Server, number: usize) -> Figures {
    let (before, granted_before) = (cpu(server), callers.granted());
    let took = time_generation(place, server, number).await;
    let (after, granted) = (cpu(server), callers.granted() - granted_before);
    Figures {
        redeemed: granted as f64 / took.seconds,
        // The generating process is a child of this one.
        redeemer_cores: (after.0 - before.0 - took.client_cpu_seconds) / took.seconds,
        server_cores: took.server_cpu_seconds / took.seconds,
        ..Figures::of_generation(&took)
    }
}

/// Returns the CPU seconds of this process with its ended children, and of the server.
fn cpu(server: &Server) -> (f64, f64) {
    (cpu_seconds(std::process::id()), server_cpu_seconds(server))
}

impl Figures {
    fn of_generation(took: &Took) -> Self {
        Self {
            generated: GENERATED as f64 / took.seconds,
            generator_cpu_seconds: took.client_cpu_seconds,
            generator_cores: took.client_cpu_seconds / took.seconds,
            ..Self::default()
        }
    }

    fn print(&self, what: &str) {
        let Self { generated, redeemed, generator_cpu_seconds, generator_cores, redeemer_cores, server_cores } = self;
        println!(
            "{what:12} {generated:>10.0} {redeemed:>10.0} {generator_cpu_seconds:>16.2} {generator_cores:>10.2} \
             {redeemer_cores:>10.2} {server_cores:>10.2}"
        );
    }
}

impl Callers {
    fn start(redeemer: &Redeemer, codes: &Arc<Vec<String>>, used: &Arc<AtomicU64>) -> Self {
        let (granted, is_stopped) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let tasks = (0..CALLERS)
            .map(|_| {
                let (redeemer, codes, used) = (redeemer.clone(), Arc::clone(codes), Arc::clone(used));
                let (granted, is_stopped) = (Arc::clone(&granted), Arc::clone(&is_stopped));
                tokio::spawn(async move {
                    while !is_stopped.load(Ordering::Relaxed) {
                        let number = used.fetch_add(1, Ordering::Relaxed) as usize;
                        let code = codes[number % codes.len()].clone();
                        assert!(redeem(redeemer.clone(), code).await, "a grant");
                        granted.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        Self { granted, is_stopped, tasks }
    }

    fn granted(&self) -> u64 {
        self.granted.load(Ordering::Relaxed)
    }

    async fn stop(self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("a caller");
        }
    }
}
