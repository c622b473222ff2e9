//! The tree of the referrers of a campaign, as far as some redemptions need it: the owners of their codes with all their ancestors,
//! and the friends who have codes already.

use std::collections::HashMap;
use std::fmt;

use uuid::Uuid;

use crate::campaign::definition::Referral;

/// A referrer. `Debug` does not show the code.
#[derive(Clone, PartialEq, Eq)]
pub struct Node {
    pub id: Uuid,
    pub campaign_no: i64,
    /// The keyed digest of the strict form of the address.
    pub address: String,
    pub code: String,
    /// The referrer whose code brought this person; `None` for one that the shop named.
    pub parent: Option<Uuid>,
    /// The number of ancestors.
    pub depth: u64,
    /// The number of friends who have codes of their own.
    pub children: u64,
}

/// A part of the trees of campaigns.
#[derive(Clone, Default)]
pub struct Tree {
    nodes: HashMap<Uuid, Node>,
    by_code: HashMap<String, Uuid>,
    by_address: HashMap<(i64, String), Uuid>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("id", &self.id).field("parent", &self.parent).finish_non_exhaustive()
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree").field("nodes", &self.nodes.len()).finish_non_exhaustive()
    }
}

/// The place of a friend in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A new child of the referrer, which gets a code.
    New { parent: Uuid, depth: u64 },
    /// A person whom the shop had named, and who becomes a child of the referrer.
    Moved { parent: Uuid, depth: u64 },
    /// The friend has a code, and keeps the place.
    Known,
    /// The limits of the campaign allow no code.
    Nowhere,
}

impl FromIterator<Node> for Tree {
    fn from_iter<T: IntoIterator<Item = Node>>(nodes: T) -> Self {
        let mut tree = Self::default();
        nodes.into_iter().for_each(|node| tree.put(node));
        tree
    }
}

impl Tree {
    fn put(&mut self, node: Node) {
        self.by_code.insert(node.code.clone(), node.id);
        self.by_address.insert((node.campaign_no, node.address.clone()), node.id);
        self.nodes.insert(node.id, node);
    }

    /// Returns the referrer who passes a code on.
    pub fn owner(&self, code: &str) -> Option<&Node> {
        self.by_code.get(code).and_then(|id| self.nodes.get(id))
    }

    /// Returns the referrer with this address.
    pub fn with_address(&self, campaign_no: i64, address: &str) -> Option<&Node> {
        self.by_address.get(&(campaign_no, address.to_owned())).and_then(|id| self.nodes.get(id))
    }

    /// Returns true if an address is that of an ancestor of the owner of a code.
    pub fn is_ancestor(&self, code: &str, address: &str) -> bool {
        let mut at = self.owner(code).and_then(|owner| owner.parent);
        // A broken tree with a loop must not stop the program.
        for _ in 0..=self.nodes.len() {
            let Some(node) = at.and_then(|id| self.nodes.get(&id)) else { return false };
            if node.address == address {
                return true;
            }
            at = node.parent;
        }
        false
    }

    /// Gives the friend who uses a code a place under its owner, and returns it. `id` is that of a new node; `may_move` is
    /// true if nobody else changes the friend's node at the same time.
    ///
    /// Only a person without friends and without a referrer is moved: such a person is nobody's ancestor, so there is never a loop.
    pub fn bring(
        &mut self,
        code: &str,
        friend: &str,
        terms: &Referral,
        may_move: impl Fn(Uuid) -> bool,
        id: Uuid,
    ) -> Place {
        let Some(owner) = self.owner(code) else { return Place::Nowhere };
        let (parent, campaign_no, depth) = (owner.id, owner.campaign_no, owner.depth + 1);
        let is_allowed = depth <= terms.depth_limit() && terms.allows_child(owner.children);
        let known = self.with_address(campaign_no, friend);
        let moved = known.map(|node| node.id);
        let place = match known {
            Some(node) => {
                let is_free = node.parent.is_none() && node.children == 0 && node.id != parent;
                if is_free && is_allowed && may_move(node.id) { Place::Moved { parent, depth } } else { Place::Known }
            }
            None if is_allowed => Place::New { parent, depth },
            None => Place::Nowhere,
        };
        match place {
            Place::New { .. } => {
                let address = friend.to_owned();
                self.by_address.insert((campaign_no, address.clone()), id);
                let node =
                    Node { id, campaign_no, address, code: String::new(), parent: Some(parent), depth, children: 0 };
                self.nodes.insert(id, node);
            }
            Place::Moved { .. } => {
                if let Some(node) = moved.and_then(|id| self.nodes.get_mut(&id)) {
                    (node.parent, node.depth) = (Some(parent), depth);
                }
            }
            Place::Known | Place::Nowhere => return place,
        }
        if let Some(owner) = self.nodes.get_mut(&parent) {
            owner.children += 1;
        }
        place
    }
}
