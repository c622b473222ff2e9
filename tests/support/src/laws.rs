//! Invariants of every parser of untrusted bytes: it accepts them or refuses them with a short message, and what it has
//! accepted is sound. Property tests and fuzz targets check this with different bytes.

use codemint_codes::mask::{CODE_LENGTH_MAX, Mask};
use codemint_codes::wire::message::{Envelope, decode};
use codemint_import::detect::{Asked, decide};
use codemint_import::error::ImportError;
use codemint_import::reader::Format;
use codemint_import::workspace::Workspace;
use codemint_offers::condition::expression::Expression;
use codemint_offers::read::campaign::{NameFrom, read_definition};
use codemint_offers::read::node::PROBLEMS_MAX;
use serde_json::Value;

use crate::import_steps::{assert_is_sound, column, import_with, rejects_of, roomy};

/// The maximum length of the reason and the position of a refused message together; both become headers.
pub const SAID_BYTES_MAX: usize = 600;
const RUN_CODES: u32 = 3;

pub fn of_masks(text: &str) {
    match text.parse::<Mask>() {
        Ok(mask) => {
            assert!((1..=CODE_LENGTH_MAX).contains(&mask.positions().len()), "{text:?}");
            let canonical = mask.to_string();
            assert_eq!(canonical.parse().as_ref(), Ok(&mask), "{text:?} became {canonical:?}");
        }
        Err(error) => {
            assert!(text.is_char_boundary(error.offset), "{text:?}: {error:?}");
            assert!(error.to_string().len() <= SAID_BYTES_MAX, "{text:?}: {error}");
        }
    }
}

pub fn of_messages(body: &[u8]) {
    if let Err(refused) = decode(body, &Envelope::default()) {
        assert!(refused.reason.len() + refused.position.len() <= SAID_BYTES_MAX, "{refused:?}");
        assert!(!refused.reason.contains(char::is_control), "{refused:?}");
    }
}

/// Reads the bytes as the definition of a campaign and as an expression.
pub fn of_offers(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Err(error) = Expression::new(text)
    {
        assert!(error.to_string().len() <= SAID_BYTES_MAX, "{text:?}: {error}");
    }
    let Ok(document) = serde_json::from_slice::<Value>(bytes) else { return };
    match read_definition(&document, NameFrom::Path("fuzzed")) {
        Ok(definition) => {
            let written = serde_json::to_value(&definition).expect("JSON");
            assert_eq!(read_definition(&written, NameFrom::Document), Ok(definition), "{document}");
        }
        Err(problems) => {
            assert!((1..=PROBLEMS_MAX).contains(&problems.len()), "{document}");
            let long = problems.iter().find(|problem| problem.message.len() > SAID_BYTES_MAX);
            assert_eq!(long, None, "{document}");
        }
    }
}

/// Imports in every format, with bounds so small that little is kept in memory.
pub fn of_imports(input: &[u8]) {
    let detected = decide(input, true, &Asked::default());
    if let Err(error) = &detected {
        assert!(error.to_string().len() <= 5000, "{error}");
    }
    let numbered = Format::NumberedColumn { number: 2, delimiter: b';' };
    for format in [Format::Lines, column("code"), Format::JsonLines, numbered].into_iter().chain(detected.ok()) {
        let workspace = Workspace { buffer_bytes: 100, pieces_merged_max: 2, ..roomy(&std::env::temp_dir()) };
        match import_with(input, format, RUN_CODES, workspace) {
            Ok((sorted, rejects)) => {
                assert_is_sound(&sorted, RUN_CODES);
                assert_eq!(rejects_of(rejects).len() as u64, sorted.counts.invalid + sorted.counts.repeats);
            }
            Err(error) => {
                let ours = matches!(error, ImportError::Read { .. } | ImportError::Temporary { .. });
                assert!(!ours, "{error}");
                assert!(error.to_string().len() <= 5000, "{error}");
            }
        }
    }
}
