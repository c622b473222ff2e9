//! A shop with one coupon, open to any number of callers. Each caller has a connection of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::Executor;
use sqlx::postgres::{PgPool, PgPoolOptions};

use crate::shops::{magento, medusa, saleor, solidus, woocommerce};

/// The carts that wait to be ordered, in the shops whose loop reads or changes them.
const CARTS: u64 = 30_000;

/// A shop system, or an earlier version of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shop {
    Magento(magento::Version),
    Saleor,
    Solidus,
    Medusa(medusa::Version),
    WooCommerce,
}

/// What the database refused.
#[derive(Debug, Default)]
pub struct Failures {
    pub deadlocks: AtomicU64,
    pub conflicts: AtomicU64,
    pub timeouts: AtomicU64,
}

/// The tables of a shop, and its connections to them.
#[derive(Clone, Debug)]
pub struct Till {
    shop: Shop,
    pool: PgPool,
    pub failures: Arc<Failures>,
}

impl Shop {
    pub const ALL: [Self; 7] = [
        Self::WooCommerce,
        Self::Magento(magento::Version::Locking),
        Self::Medusa(medusa::Version::Locking),
        Self::Saleor,
        Self::Solidus,
        Self::Magento(magento::Version::Before),
        Self::Medusa(medusa::Version::Before),
    ];

    pub const fn label(self) -> &'static str {
        match self {
            Self::WooCommerce => "WooCommerce's loop",
            Self::Magento(magento::Version::Locking) => "Magento 2's loop",
            Self::Magento(magento::Version::Before) => "Magento 2's, before its lock",
            Self::Medusa(medusa::Version::Locking) => "Medusa's loop",
            Self::Medusa(medusa::Version::Before) => "Medusa's, before its lock",
            Self::Saleor => "Saleor's loop",
            Self::Solidus => "Solidus' loop",
        }
    }

    fn tables(self, limit: i64) -> String {
        match self {
            Self::Magento(_) => magento::tables(limit),
            Self::Saleor => saleor::tables(limit, CARTS),
            Self::Solidus => solidus::tables(limit, CARTS),
            Self::Medusa(_) => medusa::tables(limit),
            Self::WooCommerce => woocommerce::tables(limit),
        }
    }

    const fn count(self) -> &'static str {
        match self {
            Self::Magento(_) => magento::COUNT,
            Self::Saleor => saleor::COUNT,
            Self::Solidus => solidus::COUNT,
            Self::Medusa(_) => medusa::COUNT,
            Self::WooCommerce => woocommerce::COUNT,
        }
    }

    const fn has_carts(self) -> bool {
        matches!(self, Self::Saleor | Self::Solidus)
    }
}

impl Till {
    /// Creates the tables of a shop with a coupon of this limit, and connects.
    pub async fn open(url: &str, shop: Shop, limit: i64, connections: u32) -> Self {
        let options = PgPoolOptions::new().max_connections(connections).acquire_timeout(Duration::from_secs(60));
        let options = options.after_connect(|session, _| {
            Box::pin(async move { session.execute("set search_path to shop").await.map(drop) })
        });
        let pool = options.connect(url).await.expect("the server");
        let tables = format!("drop schema if exists shop cascade; create schema shop; {} analyze;", shop.tables(limit));
        pool.execute(sqlx::raw_sql(&tables)).await.expect("tables");
        Self { shop, pool, failures: Arc::default() }
    }

    /// Places the order of a number, and returns true if the use of the coupon was granted.
    ///
    /// # Panics
    /// If the database refuses for another reason than other callers.
    pub async fn redeem(&self, number: u64) -> bool {
        if self.shop.has_carts() && number >= CARTS {
            // No cart is left.
            tokio::time::sleep(Duration::from_millis(50)).await;
            return false;
        }
        match self.attempt(i64::try_from(number).expect("a number")).await {
            Ok(is_granted) => is_granted,
            Err(error) => {
                self.count_failure(&error);
                false
            }
        }
    }

    async fn attempt(&self, number: i64) -> Result<bool, sqlx::Error> {
        let mut session = self.pool.acquire().await?;
        match self.shop {
            Shop::Magento(version) => magento::redeem(&mut session, version).await,
            Shop::Saleor => saleor::redeem(&mut session, number).await,
            Shop::Solidus => solidus::redeem(&mut session, number).await,
            Shop::Medusa(version) => medusa::redeem(&mut session, version).await,
            Shop::WooCommerce => woocommerce::redeem(&mut session).await,
        }
    }

    fn count_failure(&self, error: &sqlx::Error) {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default();
        let counter = match &*code {
            "40P01" => &self.failures.deadlocks,
            "40001" => &self.failures.conflicts,
            "55P03" => &self.failures.timeouts,
            _ => panic!("{}: {error}", self.shop.label()),
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the uses that the shop itself counted, and closes its connections.
    pub async fn close(self) -> i64 {
        let counted = sqlx::query_scalar(self.shop.count()).fetch_one(&self.pool).await.expect("a number");
        self.pool.close().await;
        counted
    }
}
