//! Resolves references of affiliates from memory, never later than a second after a change of rules or exclusions.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use codemint_offers::affiliate::book::{Reason, Resolved, RuleBook};
use codemint_offers::affiliate::document::ResolvedDocument;
use codemint_store::affiliates::kept::KeptAffiliates;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;
use codemint_telemetry::metrics::affiliates as metrics;
use tokio::sync::watch;

/// How old the last look at the store may be when somebody asks, before the next look begins beside the answer.
const LOOK_AFTER: Duration = Duration::from_millis(500);
/// How old it may be before an answer waits for the next one.
const OLD_AFTER: Duration = Duration::from_secs(1);

/// The rules and exclusions of a store, in memory. It looks for changes when a reference is resolved, and never by itself.
#[derive(Clone, Debug)]
pub struct AffiliateBook(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    store: Store,
    known: Mutex<Option<Known>>,
    /// The look that is under way, or the last one.
    look: Mutex<Option<watch::Receiver<Look>>>,
}

/// What the store had.
#[derive(Clone, Debug)]
struct Known {
    /// The store had it at this time or later.
    seen_at: Instant,
    kept: Arc<KeptAffiliates>,
    book: Arc<RuleBook>,
}

/// A look at the store, for which all wait who need it.
#[derive(Clone, Debug)]
enum Look {
    UnderWay,
    Ended,
    Failed(Arc<StoreError>),
}

impl AffiliateBook {
    /// Reads nothing before the first reference is resolved.
    pub fn new(store: Store) -> Self {
        Self(Arc::new(Kept { store, known: Mutex::default(), look: Mutex::default() }))
    }

    /// Returns what a reference becomes now, by rules and exclusions that were those of the store less than a second ago. Nothing is
    /// written.
    ///
    /// # Errors
    /// If the store has not answered for a second.
    pub async fn resolve(&self, reference: &str) -> Result<ResolvedDocument, Arc<StoreError>> {
        let book = self.current().await.inspect_err(|_| metrics::resolved("failed"))?;
        let resolved = book.resolve(reference, SystemTime::now().into());
        metrics::resolved(outcome_of(&resolved));
        Ok(ResolvedDocument::of(resolved, reference))
    }

    async fn current(&self) -> Result<Arc<RuleBook>, Arc<StoreError>> {
        let asked_at = Instant::now();
        loop {
            if let Some(known) = self.0.known() {
                let age = asked_at.saturating_duration_since(known.seen_at);
                if age >= LOOK_AFTER {
                    self.0.look();
                }
                if age < OLD_AFTER {
                    return Ok(known.book);
                }
            }
            let mut look = self.0.look();
            // Without a result, the look has panicked: the next one may do better.
            let ended = look.wait_for(|look| !matches!(look, Look::UnderWay)).await.map(|look| look.clone());
            if let Ok(Look::Failed(error)) = ended {
                return Err(error);
            }
        }
    }
}

impl Kept {
    fn known(&self) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the look that is under way, or begins one. It goes on if nobody waits for it any more.
    fn look(self: &Arc<Self>) -> watch::Receiver<Look> {
        let mut look = self.look.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(look) =
            look.as_ref().filter(|look| matches!(*look.borrow(), Look::UnderWay) && look.has_changed().is_ok())
        {
            return look.clone();
        }
        let (ended, begun) = watch::channel(Look::UnderWay);
        *look = Some(begun.clone());
        let kept = Arc::clone(self);
        tokio::spawn(async move {
            let result = kept.refresh().await;
            metrics::refreshed(result.as_ref().map_or("failed", |is_read| if *is_read { "read" } else { "unchanged" }));
            ended.send_replace(result.map_or_else(|error| Look::Failed(Arc::new(error)), |_| Look::Ended));
        });
        begun
    }

    /// Looks at the version, and reads what has changed; false if nothing has.
    async fn refresh(&self) -> Result<bool, StoreError> {
        let (seen_at, known) = (Instant::now(), self.known());
        let version = self.store.affiliates_version().await?;
        if let Some(known) = known.as_ref().filter(|known| known.kept.version == version) {
            self.keep(Known { seen_at, ..known.clone() });
            return Ok(false);
        }
        let before = known.map(|known| known.kept).unwrap_or_default();
        let kept = Arc::new(self.store.read_affiliates(&before).await?);
        drop(before);
        let rules = Arc::clone(&kept);
        // Up to a thousand masks become tables.
        let built = tokio::task::spawn_blocking(move || RuleBook::new(rules.rules())).await;
        let book = built.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()));
        let (rules, exclusions) = (book.rules(), book.exclusions());
        let read_in_ms = seen_at.elapsed().as_millis() as u64;
        tracing::debug!(version = kept.version, rules, exclusions, read_in_ms, "the rules for affiliates were read");
        metrics::kept(rules, exclusions);
        self.keep(Known { seen_at, kept, book: Arc::new(book) });
        Ok(true)
    }

    fn keep(&self, known: Known) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
    }
}

const fn outcome_of(resolved: &Resolved<'_>) -> &'static str {
    match resolved {
        Resolved::Offered { .. } => "resolved",
        Resolved::Unchanged(Reason::NoRule) => "no_rule",
        Resolved::Unchanged(Reason::NotActive) => "not_active",
        Resolved::Unchanged(Reason::Excluded) => "excluded",
    }
}
