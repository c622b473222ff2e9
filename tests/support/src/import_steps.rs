//! Helpers shared by the import tests: inputs that arrive in odd pieces, and results in a form that can be compared.

use std::io::{self, ErrorKind, Read};
use std::ops::ControlFlow;
use std::path::Path;

use codemint_codes::symbols::SymbolSet;
use codemint_import::error::ImportError;
use codemint_import::reader::{Format, Options, read};
use codemint_import::reason::Reason;
use codemint_import::rejects::Rejects;
use codemint_import::sorted::Sorted;
use codemint_import::workspace::Workspace;

/// An input that arrives in pieces of these sizes, over and over, with an interrupting signal before each.
#[derive(Debug)]
pub struct Pieces<'a> {
    left: &'a [u8],
    sizes: std::iter::Cycle<std::slice::Iter<'a, usize>>,
    interrupted: bool,
}

impl<'a> Pieces<'a> {
    pub fn new(bytes: &'a [u8], sizes: &'a [usize]) -> Self {
        Self { left: bytes, sizes: sizes.iter().cycle(), interrupted: false }
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(ErrorKind::Interrupted.into());
        }
        let size = *self.sizes.next().expect("a size");
        let (piece, left) = self.left.split_at(size.min(self.left.len()).min(buffer.len()));
        buffer[..piece.len()].copy_from_slice(piece);
        self.left = left;
        Ok(piece.len())
    }
}

pub fn column(name: &str) -> Format {
    Format::Column { name: name.to_owned(), delimiter: b',' }
}

/// Returns a workspace with the default bounds.
pub fn roomy(directory: &Path) -> Workspace {
    Workspace::new(directory.to_owned())
}

pub fn go_on(_figure: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

pub fn import_with(
    input: impl Read,
    format: Format,
    run_codes: u32,
    workspace: Workspace,
) -> Result<(Sorted, Rejects), ImportError> {
    read(input, &Options { format, is_detected: false, run_codes, workspace }, &go_on)
}

pub fn import(input: impl Read, format: Format) -> Result<(Sorted, Rejects), ImportError> {
    import_with(input, format, 1000, roomy(&std::env::temp_dir()))
}

/// Returns the error message of an import that has to fail.
pub fn refusal(input: &[u8], format: Format) -> String {
    import(input, format).expect_err("a refusal").to_string()
}

/// Returns all codes with their line numbers, in the order of the runs.
pub fn codes_of(sorted: &Sorted) -> Vec<(String, u64)> {
    let run = |index| {
        let run = sorted.read_run(index).expect("a run");
        assert_eq!(run.codes.len(), run.lines.len());
        run.codes.iter().map(str::to_owned).zip(run.lines).collect::<Vec<_>>()
    };
    (0..sorted.runs.len()).flat_map(run).collect()
}

pub fn rejects_of(rejects: Rejects) -> Vec<(u64, Reason)> {
    let in_order = rejects.finish(&go_on).expect("rejects");
    in_order.map(|reject| reject.expect("a reject")).map(|reject| (reject.line, reject.reason)).collect()
}

/// Returns the symbols that occur at each position of these codes.
pub fn symbols_of(codes: &[(String, u64)]) -> Vec<SymbolSet> {
    let at = |position| codes.iter().map(|(code, _)| code.as_bytes()[position]).collect::<Vec<u8>>();
    let length = codes.first().map_or(0, |(code, _)| code.len());
    (0..length).map(|position| SymbolSet::of(&at(position))).collect()
}

/// Asserts every invariant of a result, whatever the input was.
pub fn assert_is_sound(sorted: &Sorted, run_codes: u32) {
    let all = codes_of(sorted);
    assert!(all.is_sorted_by(|(a, _), (b, _)| (a.len(), a) < (b.len(), b)), "ascending, each code once");
    let counts = sorted.counts;
    assert_eq!(sorted.codes, all.len() as u64);
    assert_eq!(counts.lines_read, sorted.codes + counts.invalid + counts.repeats + counts.blank);
    let mut next = 0;
    for (index, run) in sorted.runs.iter().enumerate() {
        let codes = &all[next..next + run.codes as usize];
        next += codes.len();
        assert_eq!((&run.first, &run.last), (&codes[0].0, &codes[codes.len() - 1].0));
        assert!(codes.iter().all(|(code, _)| code.len() == run.code_length()), "one length");
        assert_eq!(run.symbols, symbols_of(codes));
        let ends_its_group = sorted.runs.get(index + 1).is_none_or(|after| after.code_length() > run.code_length());
        assert!(run.codes == run_codes || ends_its_group && run.codes < run_codes, "full, or the last of its length");
    }
    assert_eq!(next, all.len());
    let groups: Vec<&[(String, u64)]> = all.chunk_by(|(a, _), (b, _)| a.len() == b.len()).collect();
    assert_eq!(sorted.groups.len(), groups.len());
    for (group, codes) in sorted.groups.iter().zip(groups) {
        assert_eq!((&group.first, &group.last), (&codes[0].0, &codes[codes.len() - 1].0));
        assert_eq!((group.codes, group.code_length()), (codes.len() as u64, codes[0].0.len()));
        assert_eq!(group.symbols, symbols_of(codes));
    }
}
