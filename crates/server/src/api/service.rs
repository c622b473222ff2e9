//! The service behind the paths.

use std::fs::File;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Bytes;
use codemint_campaigns::affiliates::AffiliateBook;
use codemint_campaigns::clicking::ClickCounter;
use codemint_campaigns::issuing::Issuer;
use codemint_campaigns::links::LinkedCampaigns;
use codemint_campaigns::people::People;
use codemint_campaigns::redeeming::Redeemer;
use codemint_campaigns::triggering::{TriggerHandler, Triggers};
use codemint_codes::text::printable;
use codemint_offers::access::client_address::TrustedProxies;
use codemint_offers::campaign::definition::Definition;
use codemint_offers::link::target::LinkSettings;
use codemint_store::campaigns::definitions::Campaign;
use codemint_store::connection::store::Store;
use futures_util::Stream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::admin::health::Health;
use crate::api::key_ring::KeyRing;
use crate::api::limits::{LimitSettings, Limits};
use crate::api::list_errands::ListErrand;
use crate::api::observing::out_of_time;
use crate::api::ordering::OrderSettings;
use crate::api::problem::{NOT_FOUND, Problem};
use crate::api::slots::{LISTS_MAX, Slots};
use crate::api::spool;
use crate::console::jobs::pace::Paces;

/// The maximum number of public codes that wait to be made.
const PUBLIC_CODES_MAX: usize = 100;

/// How long a list may take after it was received.
const ERRAND_TIMEOUT: Duration = Duration::from_secs(600);

/// What the paths need.
#[derive(Debug)]
pub struct Api {
    pub(crate) store: Store,
    pub(crate) redeemer: Redeemer,
    pub(crate) issuer: Issuer,
    pub(crate) affiliates: AffiliateBook,
    pub(crate) triggers: Triggers,
    pub(crate) keys: KeyRing,
    pub(crate) people: People,
    pub(crate) console: ConsoleSettings,
    pub(crate) limits: Limits,
    /// The health and the metrics of this process; empty if it counts none.
    pub(crate) health: Arc<OnceLock<Arc<Health>>>,
    /// How quickly the jobs advance that pages of the console show.
    pub(crate) paces: Paces,
    pub(crate) proxies: Arc<TrustedProxies>,
    pub(crate) ordering: OrderSettings,
    pub(crate) links: LinkedCampaigns,
    pub(crate) link_settings: LinkSettings,
    pub(crate) clicks: ClickCounter,
    /// Cancelled when the process is to stop.
    pub(crate) stop: CancellationToken,
    pub(super) slots: Slots,
    public_codes: mpsc::Sender<PublicCode>,
    lists: mpsc::Sender<ListErrand>,
}

/// What the configuration says about the API.
#[derive(Clone, Debug)]
pub struct ApiSettings {
    pub limits: LimitSettings,
    pub proxies: TrustedProxies,
    pub ordering: OrderSettings,
    pub links: LinkSettings,
    pub console: ConsoleSettings,
    /// The health and the metrics of this process, once they are counted.
    pub health: Arc<OnceLock<Arc<Health>>>,
}

/// What the configuration says about the console.
#[derive(Clone, Debug, Default)]
pub struct ConsoleSettings {
    /// True if browsers reach the console over HTTPS only: then the cookie of a session is sent over HTTPS only.
    pub is_secure: bool,
}

/// What the API leaves to the program.
#[derive(Debug)]
pub struct Wanted {
    pub public_codes: mpsc::Receiver<PublicCode>,
    pub lists: mpsc::Receiver<ListErrand>,
}

/// The code of a new public campaign, to be made by the process that can mint.
#[derive(Debug)]
pub struct PublicCode {
    pub definition: Definition,
    pub made: oneshot::Sender<Result<(), Problem>>,
}

impl Api {
    /// Returns the service, and what the caller does for it. `stop` is cancelled when the process is to stop.
    pub fn new(store: Store, redeemer: Redeemer, settings: ApiSettings, stop: CancellationToken) -> (Self, Wanted) {
        let (public_codes, public_codes_wanted) = mpsc::channel(PUBLIC_CODES_MAX);
        let (lists, lists_wanted) = mpsc::channel(LISTS_MAX);
        let emits_events = settings.ordering.options.emits_events;
        let api = Self {
            triggers: Triggers::start(TriggerHandler::new(store.clone(), emits_events)),
            issuer: Issuer::start(&store),
            affiliates: AffiliateBook::new(store.clone()),
            keys: KeyRing::new(store.clone()),
            people: People::new(store.clone()),
            console: settings.console,
            links: LinkedCampaigns::new(store.clone()),
            link_settings: settings.links,
            clicks: ClickCounter::start(&store),
            store,
            redeemer,
            limits: Limits::new(settings.limits),
            health: settings.health,
            paces: Paces::default(),
            proxies: Arc::new(settings.proxies),
            ordering: settings.ordering,
            stop,
            slots: Slots::new(),
            public_codes,
            lists,
        };
        (api, Wanted { public_codes: public_codes_wanted, lists: lists_wanted })
    }

    /// Returns what counts clicks, for the end of the process.
    pub fn clicks(&self) -> ClickCounter {
        self.clicks.clone()
    }

    /// # Errors
    /// `not-found` if there is no campaign of this name.
    pub(crate) async fn campaign(&self, name: &str) -> Result<Campaign, Problem> {
        self.store.find_campaign(name).await?.ok_or_else(|| no_campaign(name))
    }

    /// Waits until the code of a public campaign was made, unless it exists and is of this campaign.
    pub(crate) async fn make_public_code(&self, definition: &Definition) -> Result<(), Problem> {
        let (made, answer) = oneshot::channel();
        let wanted = PublicCode { definition: definition.clone(), made };
        self.public_codes.try_send(wanted).map_err(|_full_or_ended| Problem::busy())?;
        answer.await.map_err(|_ended| Problem::busy())?
    }
}

impl Api {
    /// Receives a list, piece by piece, and waits until the program has done its errand.
    ///
    /// # Errors
    /// `busy` if too many lists are being received; `timeout` if the errand takes long, which is done all the same.
    pub(crate) async fn have_list_read<T, E>(
        &self,
        pieces: impl Stream<Item = Result<Bytes, E>> + Send,
        errand: impl FnOnce(File) -> ListErrand,
        answer: oneshot::Receiver<Result<T, Problem>>,
    ) -> Result<T, Problem> {
        let _permit = self.slots.lists.take()?;
        let list = spool::receive(pieces).await?;
        self.lists.send(errand(list)).await.map_err(|_ended| Problem::busy())?;
        match timeout(ERRAND_TIMEOUT, answer).await {
            Ok(done) => done.map_err(|_ended| Problem::busy())?,
            Err(_elapsed) => Err(out_of_time()),
        }
    }
}

pub(crate) fn no_campaign(name: &str) -> Problem {
    Problem::new(NOT_FOUND, format!("there is no campaign {}", printable(name)))
}
