//! People of the console: what roles permit, logins, passwords, tokens, and when sessions end.

use chrono::{DateTime, TimeDelta, Utc};
use codemint_offers::access::invitation::{InvitationToken, invitation_path};
use codemint_offers::access::login::{LOGIN_LENGTH_MAX, Login, LoginError};
use codemint_offers::access::password::{PASSWORD_LENGTH_MAX, Password, PasswordError};
use codemint_offers::access::role::{Permission, Role};
use codemint_offers::access::session::{
    FormToken, SESSION_END, SESSION_IDLE_END, SessionRecord, SessionState, SessionToken,
};
use codemint_offers::access::token::{NotAToken, TOKEN_TEXT_LENGTH, TokenDigest};
use proptest::prelude::{any, proptest};
use sha2::{Digest, Sha256};
use strum::VariantArray;

use crate::steps::cases;

/// What each role may do: viewer, marketer, affiliates, support, admin.
const MATRIX: &str = "
view-campaigns      x x x x x
edit-campaigns      - x - - x
order-codes         - x - - x
read-codes          - x - - x
find-codes          - x - x x
view-redemptions    - x - x x
act-on-redemptions  - - - x x
edit-affiliates     - x x - x
edit-segments       - x - - x
view-referrals      - x - x x
view-reports        x x x x x
view-jobs           x x x x x
view-system         - - - x x
manage-people       - - - - x
manage-keys         - - - - x
view-audit          - - - - x
";

#[test]
fn each_role_permits_exactly_what_the_matrix_says() {
    let row = |permission: &Permission| {
        let marks = Role::VARIANTS.iter().map(|role| if role.permits(*permission) { " x" } else { " -" });
        let name: &str = permission.into();
        format!("{name:<19}{}\n", marks.collect::<String>())
    };
    let matrix: String = Permission::VARIANTS.iter().map(row).collect();
    assert_eq!(matrix, MATRIX.trim_start());
}

#[test]
fn roles_are_read_by_their_names_and_the_error_lists_them() {
    let names: Vec<&str> = Role::VARIANTS.iter().map(|role| role.into_str()).collect();
    assert_eq!(names.join(", "), Role::NAMES);
    for (role, name) in Role::VARIANTS.iter().zip(names) {
        assert_eq!(name.parse::<Role>().as_ref(), Ok(role));
        assert_eq!(serde_json::to_value(role).expect("JSON"), name);
    }
    for (text, shown) in [("Admin", "Admin"), ("", ""), ("root\x1b[2J", r"root\u{1b}[2J")] {
        let error = text.parse::<Role>().expect_err(text).to_string();
        assert_eq!(error, format!("unknown role {shown}; write one of viewer, marketer, affiliates, support, admin"));
    }
}

fn login(text: &str) -> Login {
    text.parse().expect(text)
}

#[test]
fn logins_that_differ_in_case_blanks_or_composition_are_the_same() {
    let longest = "é".repeat(LOGIN_LENGTH_MAX);
    for (text, expected) in [
        (" Ann.Lee ", "ann.lee"),
        ("ANN@Example.ORG", "ann@example.org"),
        ("Jose\u{301}", "josé"),
        ("JOSÉ", "josé"),
        ("\u{212b}ngstrom", "ångstrom"),
        ("ΑΛΈΞΗΣ", "αλέξης"),
        (&longest, &longest),
    ] {
        assert_eq!(login(text).as_str(), expected, "{text:?}");
    }
    let long = "x".repeat(101);
    for (text, error) in [
        ("", LoginError::Length(0)),
        (" \t", LoginError::Length(0)),
        (&*long, LoginError::Length(101)),
        ("ann lee", LoginError::NotText),
        ("ann\u{a0}lee", LoginError::NotText),
        ("ann\n", LoginError::Length(0)),
        ("a\0", LoginError::NotText),
        ("ann\u{202e}", LoginError::NotText),
        ("ann\u{200b}", LoginError::NotText),
        ("\u{301}ann", LoginError::NotText),
    ] {
        // A line end is one of the blanks around a login.
        let expected = if text == "ann\n" { Ok(login("ann")) } else { Err(error) };
        assert_eq!(text.parse::<Login>(), expected, "{text:?}");
    }
    assert_eq!(LoginError::Length(0).to_string(), "a login has 1 to 100 characters, got 0");
    assert!(!format!("{:?}", login("ann@example.org")).contains("ann"));
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn prop_a_login_is_read_back_as_it_is(text in "\\PC{1,30}") {
        if let Ok(login) = text.parse::<Login>() {
            assert_eq!(login.as_str().parse::<Login>(), Ok(login));
        }
    }

    #[test]
    fn prop_a_token_is_read_back_from_its_text_and_any_other_text_is_refused(bytes in any::<[u8; 32]>(), bit in 0..256_usize) {
        let token = SessionToken::new(bytes);
        assert_eq!(token.text().len(), TOKEN_TEXT_LENGTH);
        let sent: SessionToken = token.text().parse().expect("a token");
        assert!(sent.digest().matches(&token.digest()));
        let stored = TokenDigest::of_stored(token.digest().as_bytes()).expect("a digest");
        assert!(stored.matches(&token.digest()));
        let mut other = bytes;
        other[bit / 8] ^= 1 << (bit % 8);
        let other = SessionToken::new(other);
        assert!(!other.digest().matches(&token.digest()));
        assert!(!FormToken::of(&other).matches(&FormToken::of(&token).text()));
    }

    #[test]
    fn prop_any_text_is_a_token_in_one_way_or_is_refused(text in "[A-Za-z0-9_-]{42,44}=?") {
        if let Ok(token) = text.parse::<InvitationToken>() {
            assert_eq!(token.text(), text);
        }
    }

    #[test]
    fn prop_a_session_that_is_over_stays_so(age in 0..400_000_i64, unused in 0..400_000_i64, later in 0..400_000_i64) {
        let now = at("2027-03-10T00:00:00Z");
        let created_at = now - TimeDelta::seconds(age);
        let seen_at = now - TimeDelta::seconds(unused.min(age));
        let session = SessionRecord { created_at, seen_at, expires_at: created_at + SESSION_END };
        if session.state(now) != SessionState::Live {
            assert_ne!(session.state(now + TimeDelta::seconds(later)), SessionState::Live);
        }
    }
}

fn password(text: &str) -> Password {
    text.parse().expect("a password")
}

#[test]
fn a_password_is_long_and_neither_the_login_nor_a_common_one() {
    let ann = login("ann@example.org");
    let longest = "🔑".repeat(PASSWORD_LENGTH_MAX);
    for (text, expected) in [
        ("seven green lamps", Ok(())),
        ("ühötökäläpömä", Ok(())),
        ("            x", Ok(())),
        ("lowercaseletters", Ok(())),
        (&*longest, Ok(())),
        ("ann@example.org and more", Ok(())),
        ("", Err(PasswordError::TooShort(0))),
        ("elevenchars", Err(PasswordError::TooShort(11))),
        // Twelve code points, composed to eleven.
        ("elevenchare\u{301}", Err(PasswordError::TooShort(11))),
        ("seven\ngreen lamps", Err(PasswordError::NotText)),
        ("ann@example.org", Err(PasswordError::IsLogin)),
        ("Ann@Example.org", Err(PasswordError::IsLogin)),
        ("ann@example.organn@example.org", Err(PasswordError::IsLogin)),
        ("password1234", Err(PasswordError::Common)),
        ("PassWord1234", Err(PasswordError::Common)),
        ("correct horse battery staple", Err(PasswordError::Common)),
        (" qwertyuiop123 ", Err(PasswordError::Common)),
    ] {
        assert_eq!(password(text).check_choice(&ann), expected, "{text:?}");
    }
    assert_eq!(password("annannannann").check_choice(&login("ann")), Err(PasswordError::IsLogin));
    let error = PasswordError::TooShort(3).to_string();
    assert_eq!(error, "a password has at least 12 characters, got 3; several words are easy to remember");
}

#[test]
fn a_text_longer_than_any_password_is_refused_before_it_is_read() {
    for text in ["x".repeat(257), "🔑".repeat(257), "x".repeat(10_000_000), "e\u{301}".repeat(257)] {
        assert_eq!(text.parse::<Password>().expect_err("too long"), PasswordError::TooLong);
    }
    assert_eq!(password(&"e\u{301}".repeat(256)).as_bytes(), "é".repeat(256).as_bytes());
}

#[test]
fn the_same_letters_are_the_same_password_however_they_were_typed() {
    assert_eq!(password("cafe\u{301} au lait").as_bytes(), password("café au lait").as_bytes());
    assert_ne!(password("Café au lait").as_bytes(), password("café au lait").as_bytes());
}

#[test]
fn each_common_password_is_long_enough_to_be_chosen_and_stands_once_in_lower_case() {
    let common: Vec<&str> = include_str!("../../src/access/common_passwords.txt").lines().collect();
    assert!(common.len() >= 150);
    for text in &common {
        assert_eq!(password(text).check_choice(&login("ann")), Err(PasswordError::Common), "{text}");
        assert_eq!(text.to_lowercase(), **text);
    }
    let mut once = common.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), common.len());
}

#[test]
fn no_secret_is_shown_by_debug() {
    let token = SessionToken::new([0xfb; 32]);
    for (shown, secret) in [
        (format!("{:?}", password("seven green lamps")), "seven".to_owned()),
        (format!("{token:?}"), token.text()),
        (format!("{:?}", InvitationToken::new([0xfb; 32])), token.text()),
        (format!("{:?}", token.digest()), "251".to_owned()),
        (format!("{:?}", FormToken::of(&token)), FormToken::of(&token).text()),
    ] {
        assert!(shown.ends_with("(secret)") && !shown.contains(&secret), "{shown}");
    }
}

#[test]
fn only_the_exact_text_of_a_token_is_one_and_no_error_repeats_it() {
    let text = SessionToken::new([0xfb; 32]).text();
    assert!(text.parse::<SessionToken>().is_ok());
    for wrong in [
        String::new(),
        format!(" {text}"),
        format!("{text}="),
        text[..42].to_owned(),
        text.replace('-', "+"),
        "A".repeat(1_000_000),
        format!("{}é", &text[..41]),
        // The bits after the last byte are not zero: the same bytes by another text.
        format!("{}t", &text[..42]),
    ] {
        let error = wrong.parse::<SessionToken>().expect_err(&wrong);
        assert_eq!(error, NotAToken);
        assert_eq!(error.to_string(), "a token is 43 characters of A-Z, a-z, 0-9, - and _");
    }
}

#[test]
fn golden_digests_of_sessions_invitations_and_forms_differ() {
    let (bytes, domain) = ([7; 32], |text: &str| Sha256::digest([text.as_bytes(), &[0], &[7; 32]].concat()));
    let (session, invitation) = (SessionToken::new(bytes), InvitationToken::new(bytes));
    assert_eq!(session.digest().as_bytes()[..], domain("codemint session")[..]);
    assert_eq!(invitation.digest().as_bytes()[..], domain("codemint invitation")[..]);
    let form = FormToken::of(&session).text();
    assert_eq!(form, "uG5JxreRqGYgofXX_77uuvtlylmQ3WpKYbwK5_kHUjE", "forms that are open stay valid");
    assert_eq!(invitation_path(&invitation), format!("/invitation/{}", invitation.text()));
}

#[test]
fn only_the_exact_text_of_a_form_token_matches() {
    let form = FormToken::of(&SessionToken::new([7; 32]));
    let text = form.text();
    assert!(form.matches(&text));
    for wrong in ["", &text[1..], &format!("{text}="), &format!(" {text}"), &text.to_lowercase(), &"A".repeat(43)] {
        assert!(!form.matches(wrong), "{wrong}");
    }
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

#[test]
fn a_session_ends_twelve_hours_after_its_last_use_and_a_week_after_its_beginning() {
    assert_eq!((SESSION_IDLE_END, SESSION_END), (TimeDelta::hours(12), TimeDelta::days(7)));
    let created_at = at("2027-03-01T00:00:00Z");
    for (seen_at, now, expected) in [
        ("2027-03-01T00:00:00Z", "2027-03-01T11:59:59.999Z", SessionState::Live),
        ("2027-03-01T00:00:00Z", "2027-03-01T12:00:00Z", SessionState::Idle),
        ("2027-03-01T11:00:00Z", "2027-03-01T22:59:59Z", SessionState::Live),
        ("2027-03-07T20:00:00Z", "2027-03-07T23:59:59.999Z", SessionState::Live),
        ("2027-03-07T20:00:00Z", "2027-03-08T00:00:00Z", SessionState::Expired),
        // The clock of the caller is behind that of another process.
        ("2027-03-01T00:00:00Z", "2027-02-28T00:00:00Z", SessionState::Live),
    ] {
        let session = SessionRecord { created_at, seen_at: at(seen_at), expires_at: created_at + SESSION_END };
        assert_eq!(session.state(at(now)), expected, "{seen_at} {now}");
    }
}

#[test]
fn a_use_of_a_session_is_noted_once_a_minute() {
    let created_at = at("2027-03-01T00:00:00Z");
    for (now, is_noted) in [
        ("2027-03-01T00:00:59.999Z", false),
        ("2027-03-01T00:01:00Z", true),
        ("2027-03-01T11:00:00Z", true),
        ("2027-02-28T00:00:00Z", false),
    ] {
        let session = SessionRecord { created_at, seen_at: created_at, expires_at: created_at + SESSION_END };
        assert_eq!(session.notes_use(at(now)), is_noted, "{now}");
    }
}
