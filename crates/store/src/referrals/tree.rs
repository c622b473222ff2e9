//! Reads the part of the tree of referrers that some redemptions need.

use std::collections::{BTreeSet, HashSet};

use sqlx::FromRow;
use uuid::Uuid;

use crate::connection::error::StoreError;
use crate::connection::statement::List;
use crate::connection::transaction::StoreTransaction;
use crate::records::rows::unsigned;
use codemint_offers::campaign::definition::Referral as Terms;
use codemint_offers::referral::tree::{Node, Place, Tree};

/// What is known about the referral codes and the friends of some redemptions.
#[derive(Debug, Default)]
pub(crate) struct Referrals {
    pub tree: Tree,
    /// The codes whose owners and ancestors are in the tree.
    codes: Vec<String>,
    /// The digests of the addresses of the friends.
    friends: Vec<String>,
    /// The referrers that nobody else changes until the end of the transaction.
    locked: HashSet<Uuid>,
}

impl Referrals {
    /// Returns true if none of the redemptions is one of a referral campaign.
    pub(crate) const fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// Gives a friend a place; see [`Tree::bring`].
    pub(crate) fn bring(&mut self, code: &str, friend: &str, terms: &Terms, new_id: Uuid) -> Place {
        let Self { tree, locked, .. } = self;
        tree.bring(code, friend, terms, |id| locked.contains(&id), new_id)
    }
}

#[derive(FromRow)]
struct NodeRow {
    id: Uuid,
    campaign_no: i64,
    address: String,
    code: String,
    parent: Option<Uuid>,
    depth: i32,
    children: i32,
}

impl TryFrom<NodeRow> for Node {
    type Error = StoreError;

    fn try_from(row: NodeRow) -> Result<Self, StoreError> {
        let NodeRow { id, campaign_no, address, code, parent, depth, children } = row;
        let (depth, children) = (unsigned("referrers", depth)?, unsigned("referrers", children)?);
        Ok(Self { id, campaign_no, address, code, parent, depth, children })
    }
}

impl StoreTransaction {
    /// Reads the owners of codes with all their ancestors, and the friends who have codes of their own. Nothing is locked.
    pub(crate) async fn read_referrals(
        &mut self,
        codes: BTreeSet<String>,
        friends: BTreeSet<String>,
    ) -> Result<Referrals, StoreError> {
        let (codes, friends) = (codes.into_iter().collect(), friends.into_iter().collect());
        let mut referrals = Referrals { codes, friends, ..Referrals::default() };
        if !referrals.is_empty() {
            referrals.tree = self.read_tree(&referrals.codes, &referrals.friends).await?;
        }
        Ok(referrals)
    }

    /// Locks the owners and the friends in the order of their ids, after the allowances, and reads again. An ancestor gets a
    /// referrer of its own only while it has no friends, so nothing above a locked owner changes.
    pub(crate) async fn lock_referrals(
        &mut self,
        referrals: &mut Referrals,
        campaign_nos: &BTreeSet<i64>,
    ) -> Result<(), StoreError> {
        let Referrals { tree, codes, friends, locked } = referrals;
        if codes.is_empty() {
            return Ok(());
        }
        let owners = codes.iter().filter_map(|code| tree.owner(code));
        let known =
            campaign_nos.iter().flat_map(|no| friends.iter().filter_map(|friend| tree.with_address(*no, friend)));
        let ids: BTreeSet<Uuid> = owners.chain(known).map(|node| node.id).collect();
        *locked = self.lock_referrers(&ids.into_iter().collect::<Vec<_>>()).await?;
        *tree = self.read_tree(codes, friends).await?;
        Ok(())
    }

    /// Locks referrers in the order of their ids.
    pub(super) async fn lock_referrers(&mut self, ids: &[Uuid]) -> Result<HashSet<Uuid>, StoreError> {
        const SQL: &str = "select id from referrers where id = any($1::uuid[]) order by id for update";
        let locked: Vec<Uuid> = self.query(SQL).bind(List(ids)).fetch_values().await?;
        Ok(locked.into_iter().collect())
    }

    async fn read_tree(&mut self, codes: &[String], friends: &[String]) -> Result<Tree, StoreError> {
        const SQL: &str = "
            with recursive above(id) as (
                select id from referrers where code = any($1)
                union
                select r.parent from above a join referrers r on r.id = a.id where r.parent is not null
            )
            select r.id, r.campaign_no, r.address, r.code, r.parent, r.depth, r.children
              from above a
              join referrers r on r.id = a.id
            union
            select id, campaign_no, address, code, parent, depth, children
              from referrers where address = any($2)";
        let rows: Vec<NodeRow> = self.query(SQL).bind(List(codes)).bind(List(friends)).fetch_all().await?;
        rows.into_iter().map(Node::try_from).collect()
    }
}
