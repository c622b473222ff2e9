//! The trace of a request, as its sender names it: <https://www.w3.org/TR/trace-context/#traceparent-header>.

/// The message header that names the trace.
pub const TRACEPARENT_HEADER: &str = "traceparent";

/// The lengths of the parts between the dashes: version, trace, span, flags.
const LENGTHS: [usize; 4] = [2, 32, 16, 2];
const CHARS: usize = 55;

/// Returns the text without what a later version may have appended; `None` if it names no trace and is to be ignored.
///
/// ```
/// use codemint_codes::wire::trace::valid_traceparent;
///
/// let sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// assert_eq!(valid_traceparent(sent), Some(sent));
/// assert_eq!(valid_traceparent("00-1-2-01"), None);
/// ```
pub fn valid_traceparent(text: &str) -> Option<&str> {
    let (known, more) = text.split_at_checked(CHARS)?;
    let parts: Vec<&str> = known.split('-').collect();
    let is_hexadecimal = |part: &&str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let lengths = parts.iter().map(|part| part.len());
    let [version, trace, span, _flags] = parts[..] else { return None };
    let is_zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    let is_known = version == "00" && more.is_empty() || version > "00" && (more.is_empty() || more.starts_with('-'));
    let is_whole = lengths.eq(LENGTHS) && parts.iter().all(is_hexadecimal);
    (is_whole && is_known && version != "ff" && !is_zero(trace) && !is_zero(span)).then_some(known)
}
