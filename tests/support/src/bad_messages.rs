//! Messages that are not valid jobs and requests that cannot be met, each with its expected outcome.

use lapin::BasicProperties;
use uuid::Uuid;

use crate::amqp::durable;

/// A mark in every body and mask, which must never appear in a log.
pub const MARK: &str = "ZQXJ";

#[derive(Debug)]
pub struct Case {
    pub body: Vec<u8>,
    pub properties: BasicProperties,
    pub becomes: Becomes,
}

#[derive(Debug, PartialEq)]
pub enum Becomes {
    /// A dead letter, with a part of its reason, and its position.
    Dead { reason: String, position: String },
    /// A failed job with this error.
    Failed { id: Uuid, code: &'static str },
}

fn dead(body: impl Into<Vec<u8>>, reason: &str, position: &str) -> Case {
    let becomes = Becomes::Dead { reason: reason.to_owned(), position: position.to_owned() };
    Case { body: body.into(), properties: durable(), becomes }
}

fn dead_with(properties: BasicProperties, reason: &str, position: &str) -> Case {
    Case { properties, ..dead(with("count", "5"), reason, position) }
}

/// A valid message but for one field, which is left out if its text is empty.
fn with(field: &str, text: &str) -> String {
    let id = format!("\"{}\"", Uuid::now_v7());
    let mask = format!("\"{MARK}####\"");
    let own = [("job_id", id.as_str()), ("mask", mask.as_str()), ("count", "5")];
    let fields = own.into_iter().filter(|(name, _)| *name != field).chain([(field, text)]);
    let there: Vec<String> =
        fields.filter(|(_, text)| !text.is_empty()).map(|(name, text)| format!("\"{name}\":{text}")).collect();
    format!("{{{}}}", there.join(","))
}

fn failed(mask: &str, count: u64, campaign: Option<&str>, code: &'static str) -> Case {
    let id = Uuid::now_v7();
    let body = serde_json::json!({ "job_id": id, "mask": mask, "count": count, "campaign": campaign });
    Case { body: body.to_string().into(), properties: durable(), becomes: Becomes::Failed { id, code } }
}

pub fn all() -> Vec<Case> {
    let parts = [
        wrong_counts(),
        wrong_texts(),
        wrong_priorities(),
        repeated_fields(),
        no_json(),
        truncated(),
        shapes(),
        envelopes(),
        impossible(),
    ];
    parts.into_iter().flatten().collect()
}

fn wrong_counts() -> Vec<Case> {
    let values = [
        ("\"100\"", "a string"),
        ("\"\"", "a string"),
        ("-1", "-1"),
        ("-100000", "-100000"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("-9223372036854775809", "-9223372036854775809"),
        ("9223372036854775808", "9223372036854775808"),
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551616", "18446744073709551616"),
        ("1.5", "1.5"),
        ("100.0", "100.0"),
        ("0.0", "0.0"),
        ("-0", "-0"),
        ("1e3", "1e3"),
        ("1E3", "1E3"),
        ("1e-1", "1e-1"),
        ("1e300", "1e300"),
        ("true", "a boolean"),
        ("false", "a boolean"),
        ("[]", "an array"),
        ("[5]", "an array"),
        ("{}", "an object"),
        ("{\"n\":5}", "an object"),
    ];
    let wrong = values.iter().map(|(text, found)| {
        let reason = format!("count is {found}; a whole number from 0 to 9223372036854775807 is expected");
        dead(with("count", text), &reason, "/count")
    });
    let missing = ["null", ""].map(|text| dead(with("count", text), "count is missing", "/count"));
    wrong.chain(missing).collect()
}

fn wrong_texts() -> Vec<Case> {
    let values = [
        ("5", "a number"),
        ("0", "a number"),
        ("-1.5", "a number"),
        ("true", "a boolean"),
        ("false", "a boolean"),
        ("[]", "an array"),
        ("[\"A\"]", "an array"),
        ("{}", "an object"),
        ("{\"a\":null}", "an object"),
    ];
    let mut cases = Vec::new();
    for field in ["mask", "campaign", "job_id"] {
        let position = format!("/{field}");
        for (text, found) in values {
            cases.push(dead(with(field, text), &format!("{field} is {found}; a string is expected"), &position));
        }
        for text in [r#""\u0000""#, r#""A\u0000B""#, r#""9999\u0000""#] {
            cases.push(dead(with(field, text), &format!("{field} contains the character U+0000"), &position));
        }
    }
    for text in ["null", ""] {
        cases.push(dead(with("mask", text), "mask is missing", "/mask"));
        cases.push(dead(with("job_id", text), "job_id is missing, and there is no message_id", "/job_id"));
    }
    let no_ids = [
        "",
        " ",
        "1",
        "job",
        "0197",
        "0197c9a0-0000-7000-8000-00000000000",
        "0197c9a0-0000-7000-8000-0000000000000",
        "0197c9a0-0000-7000-8000-00000000000g",
        "0197c9a000007000800000000000000",
        "{0197c9a0-0000-7000-8000-000000000000",
        " 0197c9a0-0000-7000-8000-000000000000",
        "0197c9a0_0000_7000_8000_000000000000",
        "uuid:0197c9a0-0000-7000-8000-000000000000",
    ];
    for id in no_ids {
        cases.push(dead(with("job_id", &format!("\"{id}\"")), "the job's id is not a UUID", "/job_id"));
        let properties = durable().with_message_id(id.into());
        let body = with("job_id", "");
        cases.push(Case { properties, ..dead(body, "the job's id is not a UUID", "property message_id") });
    }
    cases
}

fn wrong_priorities() -> Vec<Case> {
    let values = [
        ("10", "10"),
        ("255", "255"),
        ("256", "256"),
        ("-1", "-1"),
        ("18446744073709551615", "18446744073709551615"),
        ("5.0", "5.0"),
        ("5.5", "5.5"),
        ("1e0", "1e0"),
        ("\"5\"", "a string"),
        ("\"high\"", "a string"),
        ("true", "a boolean"),
        ("[5]", "an array"),
        ("{}", "an object"),
    ];
    let case = |(text, found): &(&str, &str)| {
        let reason = format!("priority is {found}; a whole number from 0 to 9 is expected");
        dead(with("priority", text), &reason, "/priority")
    };
    values.iter().map(case).collect()
}

fn repeated_fields() -> Vec<Case> {
    let mut cases: Vec<Case> = ["5", "6", "\"5\"", "null"]
        .map(|again| dead(with("count", &format!("5,\"count\":{again}")), "count occurs twice", "/count"))
        .into();
    for (field, text) in [("job_id", "\"1\""), ("mask", "\"A\""), ("campaign", "null"), ("priority", "1")] {
        let twice = with(field, &format!("{text},\"{field}\":{text}"));
        cases.push(dead(twice, &format!("{field} occurs twice"), &format!("/{field}")));
    }
    // The same name in another spelling, and inside of a field that is not read.
    cases.push(dead(with("count", r#"5,"c\u006funt":6"#), "count occurs twice", "/count"));
    for inner in [r#"{"a":1,"a":2}"#, r#"[{"b":{"c":1,"d":2,"c":3}}]"#] {
        cases.push(dead(with("more", inner), "an object has two fields of the same name", ""));
    }
    cases.push(dead(with("more", "1,\"more\":2"), "an object has two fields of the same name", ""));
    cases
}

fn no_json() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        ("nonsense", "expected ident", "line 1 column 2"),
        ("{", "EOF", "line 1 column 1"),
        ("\n\n{\"job_id\":}", "expected value", "line 3 column 11"),
        ("{'job_id':5}", "key must be a string", "line 1 column 2"),
        ("{\"mask\":\"A\",}", "trailing comma", "line 1 column 13"),
        ("{\"mask\":\"A\"} {}", "trailing characters", "line 1 column 14"),
        ("{\"mask\" \"A\"}", "expected `:`", "line 1 column 9"),
        ("{\"count\":01}", "invalid number", "line 1 column 11"),
        ("{\"count\":+1}", "expected value", "line 1 column 10"),
        ("{\"count\":1.}", "invalid number", "line 1 column 12"),
        ("{\"count\":NaN}", "expected value", "line 1 column 10"),
        ("{\"count\":1e400}", "number out of range", "line 1 column 14"),
        ("{\"mask\":\"\\x41\"}", "invalid escape", "line 1 column 11"),
        ("<job><mask>A</mask></job>", "expected value", "line 1 column 1"),
        ("mask=A&count=5", "expected value", "line 1 column 1"),
        ("\u{feff}{\"count\":5}", "it begins with a byte order mark (U+FEFF)", "line 1 column 1"),
        ("--- \nmask: A\n", "invalid number", "line 1 column 2"),
    ]
    .map(|(body, reason, position)| dead(body, &format!("the message is not JSON: {reason}"), position))
    .into();
    let body = with("count", "5");
    let utf_16: Vec<u8> = body.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = [&[0xff, 0xfe], utf_16.as_slice()].concat();
    cases.push(dead(utf_16, "the message is not JSON", "line 1 column 2"));
    cases.push(dead(marked, "it begins with the byte order mark of UTF-16", "line 1 column 1"));
    for (broken, reason) in [
        (vec![0xff], "invalid unicode"),
        (vec![0xc3], "invalid unicode"),
        (vec![0xe9], "invalid unicode"),
        (vec![7], "control character"),
    ] {
        let body = [b"{\"mask\":\"A", broken.as_slice(), b"\"}"].concat();
        cases.push(dead(body, &format!("the message is not JSON: {reason}"), ""));
    }
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for depth in [128, 200, 5_000] {
            let nested = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            cases.push(dead(with("more", &nested), "the message is not JSON: recursion limit exceeded", ""));
        }
    }
    for bytes in [65_537, 100_000, 1 << 20] {
        let filling = format!("\"{}\"", MARK.repeat(bytes / 4));
        let mut body = with("more", &filling);
        body.truncate(bytes);
        cases.push(dead(body, &format!("the message has {bytes} bytes; at most 65536 are allowed"), "body"));
    }
    cases
}

/// A valid message, cut off after each byte.
fn truncated() -> Vec<Case> {
    let whole = format!(r#"{{"job_id":"{}","mask":"{MARK}##","count":12,"campaign":"spring"}}"#, Uuid::now_v7());
    let cut = |bytes: usize| {
        let position = format!("line 1 column {bytes}");
        dead(&whole.as_bytes()[..bytes], "the message is not JSON: EOF while parsing", &position)
    };
    (0..whole.len()).map(cut).collect()
}

fn shapes() -> Vec<Case> {
    let good = with("count", "5");
    let values = [
        ("null".to_owned(), "null"),
        ("true".to_owned(), "a boolean"),
        ("5".to_owned(), "a number"),
        (format!("\"{MARK}####\""), "a string"),
        ("[]".to_owned(), "an array"),
        (format!("[{good}]"), "an array"),
        (format!("[\"{MARK}####\",5]"), "an array"),
    ];
    values.into_iter().map(|(body, found)| dead(body, &format!("the message is {found}, not an object"), "/")).collect()
}

fn envelopes() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in ["codemint.job.v2", "CODEMINT.JOB.V1", "codemint.job", "codemint.job.accepted.v1", "job", " ", "null"] {
        let reason = format!("the type {kind:?} is not known");
        cases.push(dead_with(durable().with_type(kind.into()), &reason, "property type"));
    }
    for kind in ["text/plain", "application/xml", "application/jsonx", "application/cloudevents+json", "json", "*/*"] {
        let reason = format!("the content type {kind:?} is not known");
        cases.push(dead_with(durable().with_content_type(kind.into()), &reason, "property content_type"));
    }
    for encoding in ["gzip", "deflate", "br", "utf-16", "latin1", "base64"] {
        let reason = format!("the content encoding {encoding:?} is not known");
        cases.push(dead_with(durable().with_content_encoding(encoding.into()), &reason, "property content_encoding"));
    }
    let nul = "U+0000";
    cases.push(dead_with(durable().with_reply_to("a\0b".into()), nul, "property reply_to"));
    cases.push(dead_with(durable().with_correlation_id("\0".into()), nul, "property correlation_id"));
    cases
}

fn impossible() -> Vec<Case> {
    let too_long = [format!("{MARK}{}", "A".repeat(61)), "#".repeat(4_097), format!("{MARK}{}", "#".repeat(40_000))];
    let no_masks = [
        "",
        " ",
        "A B",
        "\u{e9}",
        "\u{1f600}",
        "\t",
        "A\n",
        "\u{7f}",
        "[",
        "]",
        "{",
        "}",
        "[]",
        "[A",
        "[Z-A]",
        "[A-",
        "[[]",
        "A{2}",
        "{3}",
        "#{0}",
        "#{65}",
        "#{",
        "#{x}",
        "#{2}{2}",
        "\\",
        "*{30}",
        "?{64}",
        "[:nope:]",
        "[:check:]",
        "##[:check:]#",
        "##[:check:]{9}",
        "[A[:check:]]",
    ];
    let mut cases: Vec<Case> = no_masks.iter().map(|mask| failed(mask, 5, None, "invalid_mask")).collect();
    cases.extend(too_long.iter().map(|mask| failed(mask, 5, None, "invalid_mask")));
    for mask in ["ZQXJ####", "A", "[:safe:]{15}"] {
        cases.push(failed(mask, 0, None, "invalid_count"));
    }
    for (mask, count) in [("#", 11), ("A", 2), ("##", 101), ("ZQXJ[AB]", 3), ("####", 9_223_372_036_854_775_807)] {
        cases.push(failed(mask, count, None, "keyspace_too_small"));
    }
    for count in [1_000_000_001, 9_223_372_036_854_775_807] {
        cases.push(failed("ZQXJ[:safe:]{15}", count, None, "count_above_limit"));
    }
    let long = "x".repeat(5_000);
    for campaign in ["", "   ", "a\tb", "line\nbreak", "\u{1}", "\u{9b}31m", &long] {
        cases.push(failed("ZQXJ######", 5, Some(campaign), "invalid_campaign"));
    }
    cases.push(failed("ZQXJ####[:check:]{2}", 5, None, "no_check_key"));
    cases
}
