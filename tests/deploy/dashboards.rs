//! The Grafana dashboard, as far as it can be tested without Grafana: its layout, and all its expressions, evaluated by
//! a Prometheus that scrapes a worker under load and a process that redeems.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use codemint_campaigns::redeeming::{Redeemer, RedeemerOptions};
use codemint_offers::redemption::transition::Action;
use codemint_offers::verdict::reason::ReasonCode;
use codemint_telemetry::metrics::recorder::install;
use codemint_telemetry::metrics::store::store_answered;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::alerts::assert_of_the_contract;
use codemint_test_support::amqp::{Inbox, Peer, durable};
use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::postgres::{Durability, Server, create_database};
use codemint_test_support::prometheus::{Prometheus, expose};
use codemint_test_support::redeem_steps::{asking, create_campaign, definition, granted, reasons};
use codemint_test_support::site::{EVENTS, JOBS, Site, publish, request, wait_for_end};
use codemint_test_support::stores::TestStore;
use codemint_test_support::tools::{read, root};
use codemint_test_support::waiting::wait_until;

/// The number of columns that Grafana 10 and 11 lay out.
const COLUMNS: u64 = 24;
/// The histograms, which have data only after the first observation.
const HISTOGRAMS: [&str; 9] = [
    "codemint_chunk_duration_seconds",
    "codemint_job_wait_seconds",
    "codemint_job_run_seconds",
    "codemint_prefilter_load_seconds",
    "codemint_broker_confirm_seconds",
    "codemint_redemption_batch_size",
    "codemint_redemption_wait_seconds",
    "codemint_redemption_transaction_seconds",
    "codemint_http_request_seconds",
];
const SMALL_JOBS: usize = 20;
/// The number of completed jobs of a wave: the small ones and two larger ones.
const JOBS_A_WAVE: usize = SMALL_JOBS + 2;

fn dashboard() -> Value {
    serde_json::from_str(&read("deploy/grafana/codemint.json")).expect("JSON")
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("no list {key} in {value}"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no text {key} in {value}"))
}

fn panels() -> Vec<Value> {
    list(&dashboard(), "panels").iter().filter(|panel| panel["type"] != "row").cloned().collect()
}

/// All expressions, each with the title of its panel.
fn expressions() -> Vec<(String, String)> {
    let of_panel = |panel: &Value| -> Vec<(String, String)> {
        let targets = list(panel, "targets").iter();
        targets.map(|target| (text(panel, "title").to_owned(), text(target, "expr").to_owned())).collect()
    };
    panels().iter().flat_map(of_panel).collect()
}

/// The position of a panel on the grid: left, top, width, height.
fn place(panel: &Value) -> [u64; 4] {
    ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().expect("a place"))
}

fn overlap(one: [u64; 4], other: [u64; 4]) -> bool {
    let meet = |side: usize| one[side] < other[side] + other[side + 2] && other[side] < one[side] + one[side + 2];
    meet(0) && meet(1)
}

#[test]
fn the_file_has_sorted_keys_and_the_usual_indentation() {
    let text = read("deploy/grafana/codemint.json");
    let printed = serde_json::to_string_pretty(&dashboard()).expect("JSON");
    assert!(text == format!("{printed}\n"), "print it with sorted keys and two spaces");
}

#[test]
fn panels_do_not_overlap_on_the_grid_and_have_unique_ids() {
    let dashboard = dashboard();
    let all = list(&dashboard, "panels");
    for (number, panel) in all.iter().enumerate() {
        let [x, _, width, height] = place(panel);
        assert!(width > 0 && height > 0 && x + width <= COLUMNS, "{panel}");
        for other in &all[..number] {
            assert!(!overlap(place(panel), place(other)), "{} and {}", panel["title"], other["title"]);
            assert_ne!(panel["id"], other["id"], "{}", panel["title"]);
        }
    }
    let rows: Vec<&str> = all.iter().filter(|panel| panel["type"] == "row").map(|row| text(row, "title")).collect();
    let expected = [
        "Service line: jobs in and out",
        "Queue",
        "Throughput and rejects",
        "Latency",
        "Saturation",
        "Redemptions",
        "Dependencies",
        "HTTP API",
        "Process",
    ];
    assert_eq!(rows, expected);
}

#[test]
fn every_panel_has_a_description_a_unit_thresholds_and_valid_runbook_links() {
    let anchors = read("docs/runbook.md")
        .lines()
        .filter_map(|line| Some(line.strip_prefix("### ")?.to_lowercase()))
        .collect::<Vec<_>>();
    let mut linked = BTreeSet::new();
    for panel in panels() {
        let title = text(&panel, "title");
        assert!(!title.is_empty());
        assert!(text(&panel, "description").ends_with('.'), "{title}");
        assert!(!text(&panel["fieldConfig"]["defaults"], "unit").is_empty(), "{title}");
        assert!(!list(&panel["fieldConfig"]["defaults"]["thresholds"], "steps").is_empty(), "{title}");
        for link in list(&panel, "links") {
            let anchor = text(link, "url").strip_prefix("${runbook}#").unwrap_or_else(|| panic!("{link}")).to_owned();
            assert!(anchors.contains(&anchor), "{title} links to {anchor}");
            linked.insert(anchor);
        }
    }
    // An alert about one of several processes needs no panel beside the one about all of them.
    let unlinked: Vec<&String> = anchors.iter().filter(|anchor| !linked.contains(*anchor)).collect();
    assert_eq!(
        unlinked,
        ["codemintworkerdown", "codemintserverdown"],
        "sections of the runbook that no panel links to"
    );
}

#[test]
fn the_viewer_chooses_the_data_source_and_the_workers() {
    let dashboard = dashboard();
    assert_eq!((text(&dashboard, "uid"), dashboard["schemaVersion"].as_u64()), ("codemint", Some(39)));
    let variables = list(&dashboard["templating"], "list");
    let find = |name: &str| variables.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("no {name}"));
    assert_eq!(find("datasource")["type"], "datasource");
    assert_eq!(find("datasource")["query"], "prometheus");
    assert_eq!((&find("instance")["multi"], &find("instance")["includeAll"]), (&true.into(), &true.into()));
    for panel in panels() {
        let targets = list(&panel, "targets").iter();
        for source in targets.map(|target| &target["datasource"]).chain([&panel["datasource"]]) {
            assert_eq!(text(source, "uid"), "${datasource}", "{}", panel["title"]);
        }
        let mut names = BTreeSet::new();
        assert!(list(&panel, "targets").iter().all(|target| names.insert(text(target, "refId").to_owned())));
    }
    for query in ["job", "instance"].map(|name| text(&find(name)["query"], "query")) {
        assert_of_the_contract(query, &[]);
    }
}

#[test]
fn expressions_use_exactly_the_metrics_of_the_contract() {
    let expressions = expressions();
    for (_, expression) in &expressions {
        assert_of_the_contract(expression, &[]);
        assert!(expression.contains("{job=\"$job\""), "{expression}");
    }
    let contract = read("docs/metrics.md");
    let metrics: Vec<&str> = contract.split('`').filter(|word| word.starts_with("codemint_")).collect();
    assert!(metrics.len() > 30);
    for metric in metrics {
        assert!(expressions.iter().any(|(_, expression)| expression.contains(metric)), "nothing shows {metric}");
    }
}

/// The expression with the variables that Grafana fills in for all workers.
fn filled_in(expression: &str) -> String {
    let filled = expression
        .replace("$__rate_interval", "2m")
        .replace("$__interval", "15s")
        .replace("$job", "codemint")
        .replace("$instance", ".+");
    assert!(!filled.contains('$'), "{filled}");
    filled
}

/// Submits many small jobs, two larger ones of overlapping masks, so that filters are used, a request that cannot be
/// met and a message that is not a job; waits until all have ended.
async fn work_on_a_wave(peer: &Peer, inbox: &mut Inbox, [own, both]: [&str; 2]) {
    peer.publish(JOBS, JOBS, b"no job", durable()).await;
    let refused = Uuid::now_v7();
    publish(peer, &request(refused, "####", 20_000)).await;
    let small: Vec<Uuid> = (0..SMALL_JOBS).map(|_| Uuid::now_v7()).collect();
    for id in &small {
        publish(peer, &request(*id, &format!("{own}SMALL[:safe:]{{6}}"), 10)).await;
    }
    for mask in [own, both] {
        // The second job comes once the codes of the first one exist.
        let id = Uuid::now_v7();
        publish(peer, &request(id, &format!("{mask}[:safe:]{{8}}"), 40_000)).await;
        let kinds = wait_for_end(inbox, id).await;
        assert_eq!(kinds.last().map(String::as_str), Some("job.completed"), "{kinds:?}");
    }
    for id in small {
        wait_for_end(inbox, id).await;
    }
    assert_eq!(wait_for_end(inbox, refused).await, ["job.failed"]);
}

/// This process, as one that redeems and exposes its metrics.
struct Shop {
    redeemer: Redeemer,
    metrics: SocketAddr,
}

impl Shop {
    async fn open(site: &Site) -> Self {
        create_campaign(&site.store, &definition("spring", "public", "SPRING", &json!({})), 1).await;
        let metrics = install("postgres", 1, false).expect("the only recorder");
        store_answered(true);
        let redeemer = Redeemer::start(&site.store.store, RedeemerOptions::default()).await.expect("a redeemer");
        Self { redeemer, metrics: expose(move || metrics.render()) }
    }

    /// Uses a code, holds one and confirms it, and asks for a code that does not exist.
    async fn sell(&self) {
        let used = |code: &str| asking(code, &json!({ "hold_seconds": 60 }));
        let id = Uuid::now_v7();
        granted(self.redeemer.redeem(id, used("SPRING"), true).await.expect("an answer"));
        self.redeemer.act(id, Action::Confirm { cart: None }).await.expect("an answer");
        let refused = self.redeemer.redeem(Uuid::now_v7(), used("NOBODY"), true).await.expect("an answer");
        assert_eq!(reasons(&refused), [ReasonCode::CodeNotFound]);
        let valid = self.redeemer.validate(used("SPRING"), true).await.expect("an answer");
        assert!(valid.verdict.is_valid());
    }
}

async fn wait_for_number(prometheus: &Prometheus, expression: &str, at_least: f64) {
    wait_until(expression, async || prometheus.number(expression).is_some_and(|number| number >= at_least)).await;
}

async fn wait_until_a_wave_is_scraped(prometheus: &Prometheus, waves: usize) {
    for histogram in HISTOGRAMS {
        wait_for_number(prometheus, &format!("sum({histogram}_count)"), 1.0).await;
    }
    // The shop, the server and the worker are scraped one after the other.
    let redeemed = "sum(codemint_redemption_wait_seconds_count)";
    wait_for_number(prometheus, redeemed, waves as f64).await;
    wait_for_number(prometheus, "sum(codemint_jobs_finished_total)", (waves * JOBS_A_WAVE) as f64).await;
    wait_for_number(prometheus, "codemint_broker_queue_messages{queue=\"dead\"}", waves as f64).await;
    wait_for_number(prometheus, "codemint_jobs_received_total{outcome=\"refused\"}", waves as f64).await;
}

/// The expressions whose answer holds no number, or comes with a warning.
fn complaints(prometheus: &Prometheus) -> Vec<String> {
    let mut complaints = Vec::new();
    for (title, expression) in expressions() {
        let answer = prometheus.query(&filled_in(&expression));
        let is_warned_of = answer.get("warnings").is_some() || answer.get("infos").is_some();
        let numbers = prometheus.numbers(&filled_in(&expression));
        if answer["status"] != "success" || is_warned_of || !numbers.iter().any(|number| number.is_finite()) {
            complaints.push(format!("{title}: {expression}: {answer}"));
        }
    }
    complaints
}

#[tokio::test]
async fn every_expression_finds_data_under_load_and_only_dead_letters_raise_an_alert() {
    let site = Site::new(TestStore::postgres().await).await;
    let worker = site.start(&[("CODEMINT__JOB__CHUNK_SIZE", "5000")], &[]);
    worker.wait_until_ready().await;
    let shop = Shop::open(&site).await;
    let (api, key) = (ApiServer::start(&site.store).await, create_key(&site.store, "redeem").await);
    let targets = [worker.admin, shop.metrics, api.process.admin];
    let prometheus = Prometheus::start(&targets, &root().join("deploy/prometheus/alerts.yml")).await;
    wait_for_number(&prometheus, "sum(codemint_build_info)", 3.0).await;
    let peer = site.peer().await;
    let mut inbox = peer.listen(EVENTS, "job.*").await;
    // The rate of a metric that appears with its first observation needs more observations after the first scrape.
    for (wave, masks) in [(1, ["P", "[PQ]"]), (2, ["R", "[RS]"])] {
        work_on_a_wave(&peer, &mut inbox, masks).await;
        shop.sell().await;
        api.get("/v1/redemptions?order=A-1", &key).await.expect(200);
        wait_until_a_wave_is_scraped(&prometheus, wave).await;
    }

    let complaints = complaints(&prometheus);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    wait_until("the rules have been evaluated", async || prometheus.alerts() == ["CodemintDeadLetters pending"]).await;
    assert!(prometheus.broken_rules().is_empty(), "{:?}", prometheus.broken_rules());
    assert_eq!(prometheus.number("sum(changes(process_start_time_seconds[5m]))"), Some(0.0));
    worker.terminate().await.expect_code(0);
}

#[tokio::test]
async fn a_store_that_is_away_and_a_killed_worker_raise_alerts() {
    let server = Server::start(Durability::None);
    create_database(&server.url("postgres"), "watched").await;
    let site = Site::new(TestStore::postgres_at(&server.url("watched")).await).await;
    let worker = site.start_ready().await;
    let prometheus = Prometheus::start(&[worker.admin], &root().join("deploy/prometheus/alerts.yml")).await;
    wait_for_number(&prometheus, "codemint_store_up", 1.0).await;
    // Before the first scrape, Prometheus knew of no worker.
    wait_until("nothing is missed", async || prometheus.alerts().is_empty()).await;

    server.stop();
    wait_until("the store is missed", async || prometheus.alerts() == ["CodemintStoreAway pending"]).await;
    server.start_again();
    wait_until("the store is not missed", async || prometheus.alerts().is_empty()).await;
    worker.signal("KILL");
    worker.finish().await.expect_code(-9);
    wait_until("the worker is missed", async || {
        let alerts: BTreeSet<String> = prometheus.alerts().into_iter().collect();
        alerts == ["CodemintDown pending", "CodemintWorkerDown pending"].map(str::to_owned).into()
    })
    .await;
}
