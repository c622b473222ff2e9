//! Batches of codes, passed from a slice to the store or back.

/// A buffer of codes of one length, each followed by a newline: the bytes that a text export writes and digests cover.
///
/// ```
/// use codemint_codes::batch::CodeBatch;
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
    /// Creates a batch from codes of equal length, each followed by a newline.
    pub fn from_lines(lines: String) -> Self {
        let code_length = lines.find('\n').unwrap_or(0);
        Self { lines, code_length }
    }

    /// Creates a batch from ASCII bytes, as a keyspace writes them; bytes that are not UTF-8 would give an empty batch.
    pub fn from_ascii_lines(lines: Vec<u8>) -> Self {
        Self::from_lines(String::from_utf8(lines).unwrap_or_default())
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.lines.into_bytes()
    }

    /// Returns the number of codes.
    pub fn len(&self) -> usize {
        self.lines.len() / (self.code_length + 1)
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Returns the code at this index, which must be below [`CodeBatch::len`].
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

    /// Returns the indexes of the codes from `first` to `last`, both included; the batch must be ascending.
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

    /// Returns the codes that are not among the others; both must be ascending.
    ///
    /// ```
    /// use codemint_codes::batch::CodeBatch;
    ///
    /// let batch = CodeBatch::from_lines("A1\nA2\nA3\n".to_owned());
    /// assert_eq!(batch.without(&["A0".to_owned(), "A2".to_owned()]).as_lines(), "A1\nA3\n");
    /// assert_eq!(batch.range("A2", "A9"), 1..3);
    /// ```
    pub fn without(&self, others: &[String]) -> Self {
        let kept = self.iter().filter(|code| others.binary_search_by(|other| other.as_str().cmp(code)).is_err());
        Self::from_lines(kept.flat_map(|code| [code, "\n"]).collect())
    }

    /// Returns the marked codes; there is one mark per code.
    pub fn select(&self, marked: &[bool]) -> Self {
        let lines = self.iter().zip(marked).filter(|(_, marked)| **marked);
        Self::from_lines(lines.flat_map(|(code, _)| [code, "\n"]).collect())
    }

    /// Iterates over the codes in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.lines.lines()
    }

    /// Returns the codes as text, one per line.
    pub fn as_lines(&self) -> &str {
        &self.lines
    }
}

/// Shows only the number of codes, for example in a log line, because codes are worth money.
impl std::fmt::Debug for CodeBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CodeBatch").field("len", &self.len()).finish_non_exhaustive()
    }
}
