//! Job messages as untrusted bytes: accepted or refused, never a panic, and a refusal does not repeat the message.

use codemint_codes::job::options::PRIORITY_MAX;
use codemint_codes::wire::message::{
    Envelope, JOB_CONTENT_TYPE, JOB_MESSAGE_TYPE, JobMessage, MESSAGE_BYTES_MAX, decode, named_job_id,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::select;
use serde_json::{Value, json};
use uuid::Uuid;

use codemint_test_support::laws::SAID_BYTES_MAX;

const ID: &str = "0193f0a4-6c1e-7b6e-9a53-2f6f0b1c9d77";
fn no_envelope() -> Envelope<'static> {
    Envelope::default()
}

#[test]
fn a_message_of_maximum_size_is_accepted_and_one_byte_more_is_refused() {
    let start = format!(r#"{{"job_id":"{ID}","mask":"A##","count":1,"note":""#);
    let fill = |bytes: usize| format!("{start}{}\"}}", "x".repeat(bytes - start.len() - 2));
    assert!(decode(fill(MESSAGE_BYTES_MAX).as_bytes(), &no_envelope()).is_ok());
    let refused = decode(fill(MESSAGE_BYTES_MAX + 1).as_bytes(), &no_envelope()).expect_err("too long");
    assert_eq!(refused.position, "body");
    assert!(refused.reason.contains("65537"), "{refused:?}");
}

#[test]
fn the_depth_of_nesting_is_bounded_everywhere() {
    for open in ["[", "{\"a\":"] {
        let text = format!(r#"{{"mask":"A##","count":1,"other":{}"#, open.repeat(10_000));
        let refused = decode(text.as_bytes(), &no_envelope()).expect_err("too deep");
        assert!(refused.reason.contains("recursion limit"), "{refused:?}");
    }
}

#[test]
fn regression_a_name_that_occurs_twice_in_an_object_is_refused_with_its_position() {
    let with = |more: &str| format!("{{\"job_id\":\"{ID}\",\"mask\":\"A##\",\n\"count\":5,{more}}}");
    let nested = "an object has two fields of the same name; send each field once";
    let cases = [
        (r#""count":6"#, "count occurs twice; send each field once", "/count"),
        (r#""count":5"#, "count occurs twice; send each field once", "/count"),
        (r#""mask":"B##""#, "mask occurs twice; send each field once", "/mask"),
        (r#""c\u006funt":6"#, "count occurs twice; send each field once", "/count"),
        (r#""campaign":null,"campaign":"x""#, "campaign occurs twice; send each field once", "/campaign"),
        (r#""SECRET7":1,"SECRET7":2"#, nested, "line 2 column 31"),
        (r#""more":{"a":1,"b":2,"a":3}"#, nested, "line 2 column 33"),
        (r#""more":[[{"count":1,"count":1}]]"#, nested, "line 2 column 37"),
    ];
    for (more, reason, position) in cases {
        let refused = decode(with(more).as_bytes(), &no_envelope()).expect_err(more);
        assert_eq!((refused.reason.as_str(), refused.position.as_str()), (reason, position), "{more}");
    }
    // Equal names of different objects are no repeats.
    for more in [r#""more":{"count":1,"more":{"count":2}}"#, r#""more":[{"a":1},{"a":1}]"#, r#""Count":6"#] {
        assert!(decode(with(more).as_bytes(), &no_envelope()).is_ok(), "{more}");
    }
}

#[test]
fn regression_a_number_is_repeated_as_it_was_written() {
    let long = "9".repeat(300);
    let cut = format!("{}...", "9".repeat(64));
    for (text, shown) in [("1e3", "1e3"), ("-0", "-0"), ("18446744073709551616", "18446744073709551616"), (&long, &cut)]
    {
        let body = format!(r#"{{"job_id":"{ID}","mask":"A##","count":{text}}}"#);
        let refused = decode(body.as_bytes(), &no_envelope()).expect_err(text);
        assert!(refused.reason.starts_with(&format!("count is {shown}; a whole number")), "{refused:?}");
    }
}

#[test]
fn regression_a_byte_order_mark_is_named() {
    let body = format!(r#"{{"job_id":"{ID}","mask":"A##","count":1}}"#);
    for (mark, name) in [
        (&b"\xef\xbb\xbf"[..], "a byte order mark (U+FEFF)"),
        (b"\xff\xfe", "the byte order mark of UTF-16"),
        (b"\xfe\xff", "the byte order mark of UTF-16"),
    ] {
        let refused = decode(&[mark, body.as_bytes()].concat(), &no_envelope()).expect_err(name);
        let reason = format!("the message is not JSON: it begins with {name}; send UTF-8 without one");
        assert_eq!((refused.reason, refused.position), (reason, "line 1 column 1".to_owned()));
    }
}

#[test]
fn regression_the_job_id_of_a_message_is_found_whatever_else_is_wrong() {
    let long = "x".repeat(100);
    let cut = "x".repeat(64);
    let long_body = format!(r#"{{"job_id":"{long}"}}"#);
    let cases = [
        (r#"{"job_id":"a\nb","count":"x"}"#, Some("a\nb")),
        ("\u{feff}{\"count\":5,\"count\":6,\"job_id\":\"c\"}", Some("c")),
        (&long_body, Some(cut.as_str())),
        (r#"{"job_id":5}"#, None),
        (r#"{"count":5}"#, None),
        (r#"["job_id"]"#, None),
        (r#"{"job_id":"c""#, None),
        ("", None),
    ];
    for (body, id) in cases {
        assert_eq!(named_job_id(body.as_bytes()).as_deref(), id, "{body}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn prop_properties_of_any_text_are_accepted_or_refused_with_a_short_message(
        texts in vec(option::of(any::<String>()), 6),
    ) {
        let text = |at: usize| texts[at].as_deref();
        let envelope = Envelope {
            message_id: text(0),
            message_type: text(1),
            content_type: text(2),
            content_encoding: text(3),
            reply_to: text(4),
            correlation_id: text(5),
            ..Envelope::default()
        };
        if let Err(refused) = decode(br#"{"mask":"A##","count":1}"#, &envelope) {
            prop_assert!(refused.reason.len() + refused.position.len() <= SAID_BYTES_MAX, "{:?}", refused);
            prop_assert!(!refused.reason.contains(char::is_control), "{:?}", refused);
        }
    }

    #[test]
    fn prop_a_reason_never_repeats_the_text_of_a_field(
        secret in "CODE-[A-Z0-9]{8}",
        name in select(vec!["job_id", "count", "priority", "mask", "campaign"]),
        shape in 0..4,
    ) {
        let value = match shape {
            0 => json!(secret),
            1 => json!(format!("{secret}\0")),
            2 => json!([secret]),
            _ => json!({ (secret.clone()): secret }),
        };
        let mut request = json!({ "job_id": ID, "mask": "A##", "count": 1 });
        request[name] = value;
        let cut_off = request.to_string();
        let texts = [request.to_string(), cut_off[..cut_off.len() - 1].to_owned(), json!(secret).to_string(), json!([secret]).to_string()];
        for text in texts {
            if let Err(refused) = decode(text.as_bytes(), &no_envelope()) {
                prop_assert!(!refused.reason.contains(&secret) && !refused.position.contains(&secret), "{:?}", refused);
            }
        }
    }

    #[test]
    fn prop_an_invalid_field_is_refused_with_its_name(
        name in select(vec!["job_id", "count", "priority", "mask", "campaign", "new_check_key"]),
        wrong in select(vec![json!([]), json!({}), json!(true)]),
    ) {
        let wrong = if name == "new_check_key" && wrong == json!(true) { json!("true") } else { wrong };
        let mut request = json!({ "job_id": ID, "mask": "A##", "count": 1 });
        request[name] = wrong;
        let refused = decode(request.to_string().as_bytes(), &no_envelope()).expect_err("a wrong type");
        prop_assert_eq!(&refused.position, &format!("/{}", name));
        prop_assert!(refused.reason.starts_with(name), "{:?}", refused);
    }

    #[test]
    fn prop_a_written_message_is_read_back_unchanged(
        id in any::<u128>(),
        mask in "[^\0]{0,80}",
        count in 0..=i64::MAX as u64,
        campaign in option::of("[^\0]{0,80}"),
        priority in 0..=PRIORITY_MAX,
        new_check_key in any::<bool>(),
    ) {
        let message = JobMessage { job_id: Uuid::from_u128(id), mask, count, campaign, priority, new_check_key };
        let body = serde_json::to_vec(&message).expect("JSON");
        let envelope = Envelope {
            message_id: Some("of no importance"),
            message_type: Some(JOB_MESSAGE_TYPE),
            content_type: Some(JOB_CONTENT_TYPE),
            ..Envelope::default()
        };
        prop_assert_eq!(decode(&body, &envelope), Ok(message.clone()));
        // The id may be in the envelope instead of the body.
        let mut anonymous: Value = serde_json::from_slice(&body).expect("JSON");
        anonymous.as_object_mut().expect("an object").remove("job_id");
        let id = message.job_id.to_string();
        let envelope = Envelope { message_id: Some(&id), ..Envelope::default() };
        prop_assert_eq!(decode(anonymous.to_string().as_bytes(), &envelope), Ok(message));
    }
}
