//! A shop: a process whose buyers use codes under the same ids as those of the other shops, and which may be killed at any
//! moment. It records in a journal what it asks and what it is answered.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::Utc;
use clap::Args;
use futures_util::future::join_all;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::lot::Lot;
use crate::newcomers::Newcomers;
use crate::offers;
use crate::till::{Till, Use};
use codemint_campaigns::clicking::ClickCounter;
use codemint_campaigns::links::LinkedCampaigns;
use codemint_campaigns::redeeming::{Redeemer, RedeemerOptions};
use codemint_store::connection::location::Location;
use codemint_store::connection::store::{Access, Store};
use codemint_store::figures::clicks::Click;
use codemint_telemetry::failpoint;
use codemint_test_support::redemption_histories::{Answer, Line, Request};

const BUYERS: usize = 24;
const TILLS: usize = 3;
/// One number per so many microseconds: what buyers ask for is new, and others have asked for it as well.
const MICROSECONDS_PER_NUMBER: i64 = 50_000;
/// The numbers among which buyers choose.
const WINDOW: usize = 40;
/// How often a request without an answer is repeated.
const ATTEMPTS: usize = 8;
const LATE: Duration = Duration::from_secs(5);
/// The carts with which redemptions are confirmed.
const PAID: [i64; 3] = [2_000, 9_000, 18_000];
/// The place of the random numbers of shops among all of a seed.
const FIRST_LOT: u64 = 1 << 32;

/// What a shop is started with.
#[derive(Debug, Args)]
pub struct ShopArguments {
    #[arg(long)]
    pub store: String,
    #[arg(long)]
    pub journal: PathBuf,
    #[arg(long)]
    pub owned_codes: PathBuf,
    /// A server of the HTTP API
    #[arg(long)]
    pub server: SocketAddr,
    /// A file with a key of the HTTP API
    #[arg(long)]
    pub key_file: PathBuf,
    #[arg(long)]
    pub seed: u64,
    /// The number of the process
    #[arg(long)]
    pub process: usize,
    /// When the soak began, in microseconds since 1970
    #[arg(long)]
    pub began: i64,
}

struct Shop {
    arguments: ShopArguments,
    owned_codes: Vec<String>,
    /// Two that know nothing of each other, as if in two processes, and a server of the HTTP API.
    tills: [Till; TILLS],
    clicks: ClickCounter,
    campaigns: LinkedCampaigns,
    newcomers: Newcomers,
    journal: Journal,
}

/// The journal, and the number of the next request.
struct Journal(Mutex<(File, u64)>);

impl Journal {
    fn sent(&self, id: Uuid, request: Request) -> u64 {
        let mut journal = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let call = journal.1;
        journal.1 += 1;
        write(&mut journal.0, &Line::Sent { call, at: now(), id, request });
        call
    }

    fn answered(&self, call: u64, answer: Answer) {
        let mut journal = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        write(&mut journal.0, &Line::Answered { call, at: now(), answer });
    }
}

/// Writes a whole line at once, which a killed process has written or has not.
fn write(file: &mut File, line: &Line) {
    let mut text = serde_json::to_string(line).expect("a line");
    text.push('\n');
    file.write_all(text.as_bytes()).expect("a journal");
}

/// Returns the microseconds since 1970, which are the same for all processes of a machine.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_micros() as i64
}

/// Sells until standard input ends, as it does when the soak ends.
pub async fn run(arguments: ShopArguments) {
    failpoint::read_environment();
    let codes = std::fs::read_to_string(&arguments.owned_codes).expect("codes");
    let file = OpenOptions::new().create_new(true).append(true).open(&arguments.journal).expect("a journal");
    let key = std::fs::read_to_string(&arguments.key_file).expect("a key");
    let redeemer = async || Till::InProcess(start(&arguments.store).await);
    let tills = [redeemer().await, redeemer().await, Till::at(arguments.server, key)];
    let store = open(&arguments.store).await;
    let shop = Shop {
        owned_codes: codes.lines().map(str::to_owned).collect(),
        journal: Journal(Mutex::new((file, 0))),
        tills,
        clicks: ClickCounter::start(&store),
        campaigns: LinkedCampaigns::new(store.clone()),
        newcomers: Newcomers::new(store, arguments.began),
        arguments,
    };
    let (end, ended) = oneshot::channel();
    // Not a task: a runtime waits for its blocking tasks, also after a panic.
    std::thread::spawn(|| end.send(std::io::stdin().read_to_end(&mut Vec::new())));
    tokio::select! {
        _ = join_all((0..BUYERS).map(|number| shop.buy(number))) => {}
        ended = ended => drop(ended.expect("an end").expect("the end of standard input")),
    }
}

/// Opens the store as soon as it answers.
async fn open(url: &str) -> Store {
    let location: Location = url.parse().expect("a location");
    loop {
        if let Ok(store) = Store::open(&location, Access::Existing).await {
            return store;
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// Starts a redeemer as soon as the store answers.
async fn start(url: &str) -> Redeemer {
    let options = || RedeemerOptions { emits_events: true, ..RedeemerOptions::default() };
    loop {
        if let Ok(redeemer) = Redeemer::start(&open(url).await, options()).await {
            return redeemer;
        }
        sleep(Duration::from_millis(200)).await;
    }
}

impl Shop {
    async fn buy(&self, buyer: usize) {
        let number = FIRST_LOT + (self.arguments.process * BUYERS + buyer) as u64;
        let mut lot = Lot::new(self.arguments.seed, number);
        loop {
            self.click(&mut lot).await;
            match lot.below(6) {
                0 => {
                    let number = self.newest_number() - lot.below(WINDOW) as u64;
                    let till = &self.tills[lot.below(TILLS)];
                    self.newcomers.send_trigger(number, till.over_http()).await;
                }
                1 if lot.below(4) == 0 => self.newcomers.name_referrer(&mut lot).await,
                1 => self.bring_friend(&mut lot).await,
                _ => self.visit(&mut lot).await,
            }
            sleep(lot.pause(Duration::ZERO, Duration::from_millis(400))).await;
        }
    }

    /// Follows a link, as the HTTP API does.
    async fn click(&self, lot: &mut Lot) {
        let offer = &offers::OFFERS[lot.below(offers::OFFERS.len())];
        let source = [None, Some("mail"), Some("web")][lot.below(3)].map(str::to_owned);
        if let Ok(Some(campaign)) = self.campaigns.find(offer.name).await {
            let (id, at) = (Uuid::now_v7(), Utc::now());
            let day = at.with_timezone(&campaign.definition.zone).date_naive();
            self.clicks.count(Click { id, campaign_no: campaign.no, source, ad: None, affiliate: None, day, at });
        }
    }

    /// Uses a code, and decides afterwards what becomes of the use.
    async fn visit(&self, lot: &mut Lot) {
        let number = self.newest_number() - lot.below(WINDOW) as u64;
        let (_, wanted) = offers::draw(self.arguments.seed, number, &self.owned_codes);
        let is_held = wanted.hold_seconds > 0;
        let variant = u8::from(lot.below(20) == 0);
        let first = match lot.below(20) {
            0..2 => Request::Validate,
            2 => self.any_change(lot),
            _ => Request::Redeem { variant, is_held },
        };
        let state = match self.ask_perhaps_twice(number, first, lot).await {
            Some(Answer::Stands { state, .. }) => state,
            _ => return,
        };
        sleep(lot.pause(Duration::ZERO, Duration::from_millis(1500))).await;
        let next = match (&*state, lot.below(100)) {
            ("held", 0..20) => Request::Confirm { cart: None },
            ("held", 20..35) => Request::Confirm { cart: Some(lot.one_of(&PAID)) },
            ("held", 35..55) => Request::Release,
            ("held", 55..75) => {
                sleep(LATE).await;
                Request::Confirm { cart: None }
            }
            ("held", _) => return,
            ("confirmed", 0..60) => Request::RollBack { keep_use: lot.below(8) == 0 },
            _ => self.any_change(lot),
        };
        self.ask_perhaps_twice(number, next, lot).await;
    }

    /// Returns the largest number that is in use.
    fn newest_number(&self) -> u64 {
        ((now() - self.arguments.began) / MICROSECONDS_PER_NUMBER).unsigned_abs() + WINDOW as u64
    }

    /// Lets a friend use a code that was passed on, and perhaps return the order.
    async fn bring_friend(&self, lot: &mut Lot) {
        let Some(wanted) = self.newcomers.friend(lot).await else { return };
        let (id, first) = (lot.id(), lot.below(TILLS));
        let request = Request::Redeem { variant: 0, is_held: wanted.hold_seconds > 0 };
        let Some(Answer::Stands { state, .. }) = self.ask(first, (id, &wanted), request, None).await else { return };
        let next = match (&*state, lot.below(4)) {
            ("held", _) => Request::Confirm { cart: None },
            ("confirmed", 0) => Request::RollBack { keep_use: false },
            _ => return,
        };
        self.ask(first, (id, &wanted), next, None).await;
    }

    fn any_change(&self, lot: &mut Lot) -> Request {
        match lot.below(5) {
            0 => Request::Confirm { cart: None },
            1 => Request::Confirm { cart: Some(lot.one_of(&PAID)) },
            2 => Request::Release,
            number => Request::RollBack { keep_use: number == 3 },
        }
    }

    /// Sends a request, at times over two ways at once, or again after its answer.
    async fn ask_perhaps_twice(&self, number: u64, request: Request, lot: &mut Lot) -> Option<Answer> {
        let (id, wanted) = offers::draw(self.arguments.seed, number, &self.owned_codes);
        let first = lot.below(TILLS);
        let other = (first + 1) % TILLS;
        let vanishes_after = (lot.below(12) == 0).then(|| lot.pause(Duration::ZERO, Duration::from_millis(40)));
        match lot.below(8) {
            0 => {
                let other = self.ask(other, (id, &wanted), request, None);
                tokio::join!(self.ask(first, (id, &wanted), request, vanishes_after), other).0
            }
            1 => {
                self.ask(first, (id, &wanted), request, vanishes_after).await;
                self.ask(other, (id, &wanted), request, None).await
            }
            _ => self.ask(first, (id, &wanted), request, vanishes_after).await,
        }
    }

    /// Sends a request until it is answered, or the buyer has vanished.
    async fn ask(
        &self,
        mut till: usize,
        (id, wanted): (Uuid, &Use),
        request: Request,
        vanishes_after: Option<Duration>,
    ) -> Option<Answer> {
        for _ in 0..ATTEMPTS {
            while !self.tills[till].accepts(wanted, request) {
                till = (till + 1) % TILLS;
            }
            let call = self.journal.sent(id, request);
            let answering = self.tills[till].carry_out(id, wanted, request);
            let answered = match vanishes_after {
                Some(pause) => timeout(pause, answering).await.ok()?,
                None => answering.await,
            };
            if let Some(answer) = answered {
                self.journal.answered(call, answer.clone());
                return Some(answer);
            }
            till = (till + 1) % TILLS;
            sleep(Duration::from_millis(300)).await;
        }
        None
    }
}
