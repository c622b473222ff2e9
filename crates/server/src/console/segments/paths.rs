//! The paths of segments.

use crate::console::campaigns::labels::encoded;

/// Returns the path of a segment's page.
pub fn path_of(name: &str) -> String {
    format!("/segments/{}", encoded(name))
}
