//! The policy, which decides about codes in addition to the mask: the key of check characters and the denied words. A
//! job records the policy under which it was created.

use std::sync::Arc;

use crate::check::CheckKey;
use crate::denied::{DeniedInMask, DeniedWords};
use crate::keyspace::Keyspace;
use crate::mask::Mask;

/// The policy under which a process makes codes.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    pub check_key: Option<CheckKey>,
    pub denied: Option<Arc<DeniedWords>>,
}

/// A policy as a job records it: the key, if its mask has check characters, and the words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyMarks {
    pub check_fingerprint: Option<String>,
    pub deny_digest: Option<Vec<u8>>,
}

impl Policy {
    pub fn marks(&self, mask: &Mask) -> PolicyMarks {
        let key = self.check_key.as_ref().filter(|_| mask.check_length() > 0);
        PolicyMarks {
            check_fingerprint: key.map(CheckKey::fingerprint),
            deny_digest: self.denied.as_ref().map(|words| words.digest().to_vec()),
        }
    }

    /// Returns the keyspace of a mask; its codes can be made if the mask has no check characters or there is a key.
    pub fn keyspace(&self, mask: &Mask) -> Keyspace {
        let keyspace = Keyspace::new(mask);
        match &self.check_key {
            Some(key) => keyspace.with_check_key(key.clone()),
            None => keyspace,
        }
    }

    pub fn denied_in(&self, mask: &Mask) -> Option<DeniedInMask> {
        self.denied.as_ref().map(|words| DeniedInMask::new(words, mask))
    }
}
