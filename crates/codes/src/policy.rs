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

/// The newest job of a mask has another check key: a shop front that verifies with one key would reject the codes of the other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the newest job of the mask has check characters of the key with the fingerprint {newest}, and check.key_file holds the key \
     with the fingerprint {ours}"
)]
pub struct OtherCheckKey {
    pub ours: String,
    pub newest: String,
}

/// Decides about the key of a new job. Both are fingerprints; `newest` is that of the mask's newest job, `None` before the
/// first one. After a change of the key that was accepted, jobs under the new key need no more permission, and jobs under the
/// old one do.
///
/// # Errors
/// If the keys differ and the request does not accept a new one.
pub fn check_key_of_new_job(ours: &str, newest: Option<&str>, accepts_new_key: bool) -> Result<(), OtherCheckKey> {
    match newest {
        Some(newest) if newest != ours && !accepts_new_key => {
            Err(OtherCheckKey { ours: ours.to_owned(), newest: newest.to_owned() })
        }
        _ => Ok(()),
    }
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

#[cfg(test)]
mod tests {
    use super::{OtherCheckKey, check_key_of_new_job};

    #[test]
    fn a_job_has_the_key_of_the_newest_job_of_its_mask_or_one_that_its_request_accepts() {
        let refused = || Err(OtherCheckKey { ours: "b".to_owned(), newest: "a".to_owned() });
        for (ours, newest, accepts_new_key, decided) in [
            ("a", None, false, Ok(())),
            ("a", Some("a"), false, Ok(())),
            ("b", Some("a"), false, refused()),
            ("b", Some("a"), true, Ok(())),
            ("a", Some("a"), true, Ok(())),
        ] {
            assert_eq!(check_key_of_new_job(ours, newest, accepts_new_key), decided, "{ours} after {newest:?}");
        }
    }
}
