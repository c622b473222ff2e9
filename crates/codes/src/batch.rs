//! Codes on their way from a slice to the store, or back.

/// Codes of one length in one buffer, each followed by a newline: what a text export writes and what digests are made of.
///
/// ```
/// use codemint::code::batch::CodeBatch;
///
/// let batch = CodeBatch::from_lines("AB12\nAB34\n".to_owned());
/// assert_eq!(batch.len(), 2);
/// assert_eq!(batch.iter().collect::<Vec<_>>(), ["AB12", "AB34"]);
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct CodeBatch {
    lines: String,
    code_length: usize,
}

impl CodeBatch {
    /// Takes codes of equal length, each with a newline behind it.
    pub fn from_lines(lines: String) -> Self {
        let code_length = lines.find('\n').unwrap_or(0);
        Self { lines, code_length }
    }

    /// For the keyspace, whose symbols are ASCII: bytes that are no text would give an empty batch.
    pub fn from_ascii_lines(lines: Vec<u8>) -> Self {
        Self::from_lines(String::from_utf8(lines).unwrap_or_default())
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.lines.into_bytes()
    }

    /// How many codes there are.
    pub fn len(&self) -> usize {
        self.lines.len() / (self.code_length + 1)
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The code at this index, below [`CodeBatch::len`].
    pub fn get(&self, index: usize) -> &str {
        let start = index * (self.code_length + 1);
        &self.lines[start..start + self.code_length]
    }

    pub fn first(&self) -> Option<&str> {
        (!self.is_empty()).then(|| self.get(0))
    }

    pub fn last(&self) -> Option<&str> {
        (!self.is_empty()).then(|| self.get(self.len() - 1))
    }

    /// Which codes lie in the range from `first` to `last`, both included; the batch is ascending.
    pub fn range(&self, first: &str, last: &str) -> std::ops::Range<usize> {
        let end = self.partition_point(|code| code <= last);
        self.partition_point(|code| code < first).min(end)..end
    }

    fn partition_point(&self, is_before: impl Fn(&str) -> bool) -> usize {
        let (mut start, mut end) = (0, self.len());
        while start < end {
            let middle = start.midpoint(end);
            if is_before(self.get(middle)) { start = middle + 1 } else { end = middle }
        }
        start
    }

    /// The codes that are not among these; both are ascending.
    pub fn without(&self, others: &[String]) -> Self {
        let kept = self.iter().filter(|code| others.binary_search_by(|other| other.as_str().cmp(code)).is_err());
        Self::from_lines(kept.flat_map(|code| [code, "\n"]).collect())
    }

    /// The codes that are marked, one mark a code.
    pub fn select(&self, marked: &[bool]) -> Self {
        let lines = self.iter().zip(marked).filter(|(_, marked)| **marked);
        Self::from_lines(lines.flat_map(|(code, _)| [code, "\n"]).collect())
    }

    /// The codes in the order in which they were put in.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.lines.lines()
    }

    /// The codes as text, one a line.
    pub fn as_lines(&self) -> &str {
        &self.lines
    }
}

/// Codes are worth money: a log line that shows a batch shows how many there are.
impl std::fmt::Debug for CodeBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CodeBatch").field("len", &self.len()).finish_non_exhaustive()
    }
}
