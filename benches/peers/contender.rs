//! The compared ways of inserting codes into PostgreSQL.

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// (a) `psql \copy` of sorted codes into a table without an index.
    Floor,
    /// (b) `psql \copy` of sorted codes into Codemint's table, in one commit.
    Target,
    /// (c) `codemint generate`.
    Codemint,
    /// (d) to (h): other ways.
    Loop(Loop),
}

/// A way that is written in Rust and runs in a process of its own, over one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loop {
    UnsortedCopy,
    UnsortedStaging,
    SortedStaging,
    Unnest,
    GenerateSeries,
    Magento,
    Solidus,
    Shopware,
    Spree,
}

impl Contender {
    pub const WITHOUT_SHOPS: [Self; 8] = [
        Self::Floor,
        Self::Target,
        Self::Codemint,
        Self::Loop(Loop::UnsortedCopy),
        Self::Loop(Loop::UnsortedStaging),
        Self::Loop(Loop::SortedStaging),
        Self::Loop(Loop::Unnest),
        Self::Loop(Loop::GenerateSeries),
    ];
    pub const SHOPS: [Self; 4] =
        [Self::Loop(Loop::Magento), Self::Loop(Loop::Solidus), Self::Loop(Loop::Shopware), Self::Loop(Loop::Spree)];

    pub fn label(self) -> &'static str {
        match self {
            Self::Floor => "(a) `psql \\copy`, sorted, no index",
            Self::Target => "(b) `psql \\copy`, sorted",
            Self::Codemint => "(c) **Codemint**",
            Self::Loop(Loop::UnsortedCopy) => "(d) `copy`, unsorted",
            Self::Loop(Loop::UnsortedStaging) => "(e) staging table, unsorted",
            Self::Loop(Loop::SortedStaging) => "(e) staging table, sorted chunks",
            Self::Loop(Loop::Unnest) => "(f) `insert .. unnest`, 10,000 each",
            Self::Loop(Loop::GenerateSeries) => "(g) `insert .. generate_series`",
            Self::Loop(Loop::Magento) => "(h) Magento's loop",
            Self::Loop(Loop::Solidus) => "(h) Solidus' loop",
            Self::Loop(Loop::Shopware) => "(h) Shopware's loop",
            Self::Loop(Loop::Spree) => "(h) Spree's loop",
        }
    }

    /// Returns the goal: it takes at least this many times as long as Codemint. Of the shops' loops, only the best and
    /// slowest count.
    pub const fn goal(self) -> Option<f64> {
        match self {
            Self::Loop(Loop::UnsortedCopy) => Some(3.5),
            Self::Loop(Loop::UnsortedStaging | Loop::Unnest | Loop::GenerateSeries) => Some(4.5),
            Self::Loop(Loop::SortedStaging) => Some(2.0),
            Self::Floor
            | Self::Target
            | Self::Codemint
            | Self::Loop(Loop::Magento | Loop::Solidus | Loop::Shopware | Loop::Spree) => None,
        }
    }

    pub fn is_shop(self) -> bool {
        Self::SHOPS.contains(&self)
    }

    /// Returns the table that it writes to.
    pub fn table(self) -> &'static str {
        match self {
            Self::Floor => "codes_without_index",
            contender if contender.is_shop() => "coupons",
            _ => "codes",
        }
    }
}

impl Loop {
    /// The names that are passed to the loop's process.
    pub const ALL: [(&'static str, Self); 9] = [
        ("unsorted_copy", Self::UnsortedCopy),
        ("unsorted_staging", Self::UnsortedStaging),
        ("sorted_staging", Self::SortedStaging),
        ("unnest", Self::Unnest),
        ("generate_series", Self::GenerateSeries),
        ("magento", Self::Magento),
        ("solidus", Self::Solidus),
        ("shopware", Self::Shopware),
        ("spree", Self::Spree),
    ];

    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }

    pub fn named(name: &str) -> Self {
        Self::ALL.iter().find(|(known, _)| *known == name).expect("a loop").1
    }
}
