//! People of the console: invited once, signed in, with sessions that end for every process within a second.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use codemint_campaigns::people::{Accepted, People, SignedIn, Visitor};
use codemint_campaigns::staff::{Added, InvitedPerson, SetPassword};
use codemint_offers::access::invitation::InvitationToken;
use codemint_offers::access::login::Login;
use codemint_offers::access::password::Password;
use codemint_offers::access::role::Role;
use codemint_offers::access::session::{SESSIONS_MAX, SessionToken};
use codemint_offers::access::user::{USERS_MAX, UserRecord};
use codemint_store::access::user_changes::{ChangeUser, LastAdmin};
use codemint_store::admission::entropy::fresh_token;
use codemint_test_support::proxy::{Loss, Proxy};
use codemint_test_support::stores::{Kind, TestStore};
use codemint_test_support::{on_all_stores, on_both_stores};
use uuid::Uuid;

pub(crate) const LAMPS: &str = "seven green lamps";
pub(crate) const DOORS: &str = "eleven blue doors";
pub(crate) const AUDITED: &str = "select action || ' ' || result || ' ' || detail from audit order by no";
/// A change is known to every process after this time, and that of a look-up.
pub(crate) const A_SECOND: Duration = Duration::from_millis(600);

pub(crate) fn login(text: &str) -> Login {
    text.parse().expect("a login")
}

pub(crate) fn password(text: &str) -> Password {
    text.parse().expect("a password")
}

pub(crate) async fn add(people: &People, name: &str, role: Role) -> UserRecord {
    match people.add(Uuid::now_v7(), &login(name), role, &password(LAMPS)).await.expect("an answer") {
        Added::Added(user) => user,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn sign_in(people: &People, name: &str, text: &str) -> Option<SignedIn> {
    people.sign_in(name, &password(text)).await.expect("an answer")
}

pub(crate) async fn visitor(people: &People, token: &SessionToken) -> Option<Visitor> {
    people.find_session(token).await.expect("an answer")
}

pub(crate) async fn accept(people: &People, token: &InvitationToken, name: &str, text: &str) -> Accepted {
    people.accept(token, &login(name), &password(text)).await.expect("an answer")
}

pub(crate) fn signed_in(accepted: Accepted) -> SignedIn {
    match accepted {
        Accepted::SignedIn(signed_in) => signed_in,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn is_not_valid(accepted: &Accepted) -> bool {
    matches!(accepted, Accepted::NotValid)
}

pub(crate) async fn invited(people: &People, name: &str) -> InvitationToken {
    match people.invite(Uuid::now_v7(), &login(name), Role::Marketer).await.expect("an answer") {
        InvitedPerson::Invited(_, token) => token,
        other => panic!("{other:?}"),
    }
}

on_all_stores!(a_person_signs_in_and_out_and_every_process_knows);
async fn a_person_signs_in_and_out_and_every_process_knows(place: TestStore) {
    let (people, elsewhere) = (People::new(place.store.clone()), People::new(place.open_again().await));
    let user = add(&people, "Ann@Example.org", Role::Marketer).await;
    assert_eq!((user.login.as_str(), user.has_password, user.signed_in_at), ("ann@example.org", true, None));
    let SignedIn { token, visitor: ann } = sign_in(&people, " ANN@example.org", LAMPS).await.expect("a session");
    assert_eq!(ann, Visitor { user_id: user.id, login: login("ann@example.org"), role: Role::Marketer });
    assert_eq!(visitor(&people, &token).await.as_ref(), Some(&ann));
    assert_eq!(visitor(&elsewhere, &token).await.as_ref(), Some(&ann));
    assert_eq!(visitor(&people, &fresh_token().expect("random bytes")).await, None);
    let known = people.find(&user.login).await.expect("an answer").expect("the user");
    assert!((Utc::now() - known.signed_in_at.expect("a time")).abs() < TimeDelta::minutes(1));

    let other = sign_in(&elsewhere, "ann@example.org", LAMPS).await.expect("a second session");
    people.sign_out(&token).await.expect("an answer");
    people.sign_out(&token).await.expect("an answer to a repetition");
    assert_eq!(visitor(&people, &token).await, None, "at once");
    tokio::time::sleep(A_SECOND).await;
    assert_eq!(visitor(&elsewhere, &token).await, None);
    assert_eq!(visitor(&people, &other.token).await, Some(ann), "another session goes on");
}

on_both_stores!(whoever_may_not_sign_in_costs_the_same_comparison_as_who_mistyped);
async fn whoever_may_not_sign_in_costs_the_same_comparison_as_who_mistyped(place: TestStore) {
    let people = People::new(place.store.clone());
    add(&people, "ann", Role::Viewer).await;
    people.invite(Uuid::now_v7(), &login("ben"), Role::Viewer).await.expect("an answer");
    add(&people, "carla", Role::Viewer).await;
    people.remove(&login("carla"), LastAdmin::Keep).await.expect("an answer");
    for (count, (name, text)) in [
        ("ann", DOORS),
        ("ann", ""),
        ("ben", LAMPS),
        ("ben", ""),
        ("carla", LAMPS),
        ("nobody", LAMPS),
        ("", LAMPS),
        ("no login\0", LAMPS),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(sign_in(&people, name, text).await.is_none(), "{name} {text}");
        assert_eq!(people.comparisons(), count as u64 + 1, "{name} {text}");
    }
    assert_eq!(place.number("select count(*) from sessions").await, 0);
    assert!(sign_in(&people, "ann", LAMPS).await.is_some());
    assert_eq!(people.comparisons(), 9, "a sign-in that succeeds compares once as well");
}

on_both_stores!(a_proxy_signs_in_whom_it_names_if_the_person_is_known);
async fn a_proxy_signs_in_whom_it_names_if_the_person_is_known(place: TestStore) {
    let people = People::new(place.store.clone());
    people.invite(Uuid::now_v7(), &login("ben"), Role::Support).await.expect("an answer");
    let signed_in = people.sign_in_trusted(" BEN ").await.expect("an answer").expect("a session");
    assert_eq!((signed_in.visitor.login.as_str(), signed_in.visitor.role), ("ben", Role::Support));
    assert_eq!(visitor(&people, &signed_in.token).await, Some(signed_in.visitor));
    for unknown in ["ann", "", "b\0en"] {
        assert!(people.sign_in_trusted(unknown).await.expect("an answer").is_none(), "{unknown}");
    }
    assert_eq!(people.comparisons(), 0);
}

on_both_stores!(a_change_of_a_person_reaches_the_sessions_of_every_process_within_a_second);
async fn a_change_of_a_person_reaches_the_sessions_of_every_process_within_a_second(place: TestStore) {
    let (people, elsewhere) = (People::new(place.store.clone()), People::new(place.open_again().await));
    add(&people, "ann", Role::Admin).await;
    let mut tokens = Vec::new();
    for name in ["ben", "carla", "dora"] {
        add(&people, name, Role::Support).await;
        let token = sign_in(&elsewhere, name, LAMPS).await.expect("a session").token;
        assert_eq!(visitor(&elsewhere, &token).await.expect("a visitor").role, Role::Support);
        tokens.push(token);
    }
    let set = people.set_role(&login("ben"), Role::Marketer, LastAdmin::Keep).await.expect("an answer");
    assert!(matches!(set, ChangeUser::Changed(UserRecord { role: Role::Marketer, .. })));
    let set = people.set_role(&login("ben"), Role::Marketer, LastAdmin::Keep).await.expect("an answer");
    assert!(matches!(set, ChangeUser::Unchanged(_)));
    let set = people.set_password(&login("carla"), &password(DOORS)).await.expect("an answer");
    assert!(matches!(set, SetPassword::Set(_)));
    let removed = people.remove(&login("dora"), LastAdmin::Keep).await.expect("an answer");
    assert!(matches!(removed, ChangeUser::Changed(_)));
    tokio::time::sleep(A_SECOND).await;
    assert_eq!(visitor(&elsewhere, &tokens[0]).await.expect("the session goes on").role, Role::Marketer);
    assert_eq!(visitor(&elsewhere, &tokens[1]).await, None);
    assert_eq!(visitor(&elsewhere, &tokens[2]).await, None);
    assert!(sign_in(&elsewhere, "carla", LAMPS).await.is_none() && sign_in(&elsewhere, "dora", LAMPS).await.is_none());
    assert!(sign_in(&elsewhere, "carla", DOORS).await.is_some());
    let expected = [
        "user_add done ann: admin",
        "user_add done ben: support",
        "user_add done carla: support",
        "user_add done dora: support",
        "user_role done ben: marketer",
        "user_role unchanged ben: marketer",
        "user_password done carla: support",
        "user_remove done dora: support",
    ];
    assert_eq!(place.texts(AUDITED).await, expected);
}

on_both_stores!(a_sign_in_with_a_password_that_is_replaced_meanwhile_begins_no_session);
async fn a_sign_in_with_a_password_that_is_replaced_meanwhile_begins_no_session(place: TestStore) {
    let people = People::new(place.store.clone());
    for name in ["ann", "ben"] {
        add(&people, name, Role::Viewer).await;
    }
    let find = async |name: &str| place.store.find_user(&login(name)).await.expect("an answer").expect("the user");
    let (ann, ben) = (find("ann").await, find("ben").await);
    people.set_password(&login("ann"), &password(DOORS)).await.expect("an answer");
    people.remove(&login("ben"), LastAdmin::Keep).await.expect("an answer");
    for user in [&ann, &ben] {
        let token: SessionToken = fresh_token().expect("random bytes");
        assert!(!place.store.begin_session(user, &token.digest(), Utc::now()).await.expect("an answer"));
        assert_eq!(visitor(&people, &token).await, None);
    }
    assert_eq!(place.number("select count(*) from sessions").await, 0);
}

on_both_stores!(somebody_new_with_the_login_of_a_removed_person_has_none_of_the_sessions);
async fn somebody_new_with_the_login_of_a_removed_person_has_none_of_the_sessions(place: TestStore) {
    let people = People::new(place.store.clone());
    add(&people, "ann", Role::Admin).await;
    add(&people, "ben", Role::Support).await;
    let old = sign_in(&people, "ben", LAMPS).await.expect("a session").token;
    let link = people.invite_again(&login("ben")).await.expect("an answer").expect("the user").1;
    people.remove(&login("ben"), LastAdmin::Keep).await.expect("an answer");
    add(&people, "ben", Role::Admin).await;
    tokio::time::sleep(A_SECOND).await;
    assert_eq!(visitor(&people, &old).await, None);
    assert!(is_not_valid(&accept(&people, &link, "ben", DOORS).await));
}

on_both_stores!(the_last_administrator_stays_unless_it_is_let_go);
async fn the_last_administrator_stays_unless_it_is_let_go(place: TestStore) {
    let (people, elsewhere) = (People::new(place.store.clone()), People::new(place.open_again().await));
    for name in ["ann", "ben"] {
        add(&people, name, Role::Admin).await;
    }
    let (ann, ben) = (login("ann"), login("ben"));
    // Each of them is not the last one, until the other is gone.
    let (one, other) =
        tokio::join!(people.set_role(&ann, Role::Viewer, LastAdmin::Keep), elsewhere.remove(&ben, LastAdmin::Keep));
    let results = [one.expect("an answer"), other.expect("an answer")];
    assert_eq!(results.iter().filter(|result| matches!(result, ChangeUser::LastAdmin)).count(), 1, "{results:?}");
    let admins = people.list(None, 10).await.expect("an answer").into_iter().filter(|user| user.role == Role::Admin);
    let [last] = &admins.collect::<Vec<_>>()[..] else { panic!("not one administrator") };
    let kept = people.remove(&last.login, LastAdmin::Keep).await.expect("an answer");
    assert_eq!(kept, ChangeUser::LastAdmin);
    let same = people.set_role(&last.login, Role::Admin, LastAdmin::Keep).await.expect("an answer");
    assert!(matches!(same, ChangeUser::Unchanged(_)));
    let gone = people.remove(&last.login, LastAdmin::LetGo).await.expect("an answer");
    assert!(matches!(gone, ChangeUser::Changed(_)));
    let unknown = people.remove(&last.login, LastAdmin::LetGo).await.expect("an answer");
    assert_eq!(unknown, ChangeUser::Unknown);
}

on_both_stores!(a_session_ends_when_it_is_unused_or_old_and_a_use_is_noted_once_a_minute);
async fn a_session_ends_when_it_is_unused_or_old_and_a_use_is_noted_once_a_minute(place: TestStore) {
    let people = People::new(place.store.clone());
    add(&people, "ann", Role::Viewer).await;
    let token = sign_in(&people, "ann", LAMPS).await.expect("a session").token;
    let digest = token.digest();
    let start = place.store.find_session(&digest).await.expect("an answer").expect("the session").times;
    assert_eq!(start.expires_at - start.created_at, TimeDelta::days(7));
    let note = async |at| place.store.note_use_of_session(&digest, at).await.expect("an answer");
    assert!(!note(start.seen_at + TimeDelta::seconds(59)).await);
    assert!(note(start.seen_at + TimeDelta::seconds(60)).await);
    assert!(!note(start.seen_at + TimeDelta::seconds(61)).await, "it was noted a second before");

    let back = async |column: &str, hours: i64| {
        let at = (Utc::now() - TimeDelta::hours(hours)).format("%Y-%m-%dT%H:%M:%S.000Z");
        place.execute(&format!("update sessions set {column} = '{at}'")).await;
        tokio::time::sleep(A_SECOND).await;
    };
    back("seen_at", 11).await;
    assert!(visitor(&people, &token).await.is_some());
    // The use is noted beside the answer.
    for _ in 0..100 {
        let noted = place.store.find_session(&digest).await.expect("an answer").expect("the session").times.seen_at;
        if Utc::now() - noted < TimeDelta::minutes(1) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let noted = place.store.find_session(&digest).await.expect("an answer").expect("the session").times.seen_at;
    assert!(Utc::now() - noted < TimeDelta::minutes(1), "{noted}");
    back("expires_at", 0).await;
    assert_eq!(visitor(&people, &token).await, None, "a week is over");
    place.execute("update sessions set expires_at = '2999-01-01T00:00:00.000Z'").await;
    back("seen_at", 12).await;
    assert_eq!(visitor(&people, &token).await, None, "it was not used for half a day");
    assert_eq!(place.number("select count(*) from sessions").await, 1);
    sign_in(&people, "ann", LAMPS).await.expect("a session");
    assert_eq!(place.number("select count(*) from sessions").await, 1, "a sign-in removes what is over");
}

on_both_stores!(one_session_more_than_allowed_ends_the_oldest_of_this_person_only);
async fn one_session_more_than_allowed_ends_the_oldest_of_this_person_only(place: TestStore) {
    let people = People::new(place.store.clone());
    for name in ["ann", "ben"] {
        add(&people, name, Role::Viewer).await;
    }
    let of_ben = people.sign_in_trusted("ben").await.expect("an answer").expect("a session");
    let mut tokens = Vec::new();
    for _ in 0..=SESSIONS_MAX {
        tokens.push(people.sign_in_trusted("ann").await.expect("an answer").expect("a session").token);
        // In SQLite, times are in whole milliseconds.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(place.number("select count(*) from sessions").await, i64::from(SESSIONS_MAX) + 1);
    assert_eq!(visitor(&people, &tokens[0]).await, None);
    for token in tokens[1..].iter().chain([&of_ben.token]) {
        assert!(visitor(&people, token).await.is_some());
    }
}

on_both_stores!(a_hash_with_other_parameters_is_renewed_by_the_sign_in_and_sessions_go_on);
async fn a_hash_with_other_parameters_is_renewed_by_the_sign_in_and_sessions_go_on(place: TestStore) {
    let people = People::new(place.store.clone());
    add(&people, "ann", Role::Viewer).await;
    let first = sign_in(&people, "ann", LAMPS).await.expect("a session");
    // By another program, with 8 MiB and one pass.
    let old = "$argon2id$v=19$m=8192,t=1,p=1$BwcHBwcHBwcHBwcHBwcHBw$DnUDbdQzLQpXmgFBS1J9hMYCXxE3IF4pZvu1R0tFwuw";
    place.execute(&format!("update users set password_hash = '{old}'")).await;
    assert!(sign_in(&people, "ann", DOORS).await.is_none());
    assert_eq!(place.texts("select password_hash from users").await, [old]);
    assert!(sign_in(&people, "ann", LAMPS).await.is_some());
    let [hash] = &place.texts("select password_hash from users").await[..] else { panic!("one user") };
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    assert!(sign_in(&people, "ann", LAMPS).await.is_some());
    tokio::time::sleep(A_SECOND).await;
    assert!(visitor(&people, &first.token).await.is_some());
}

on_both_stores!(people_are_listed_by_login_page_by_page);
async fn people_are_listed_by_login_page_by_page(place: TestStore) {
    let people = People::new(place.store.clone());
    for name in ["dora", "ann", "émile", "ben", "zoe"] {
        people.invite(Uuid::now_v7(), &login(name), Role::Viewer).await.expect("an answer");
    }
    let mut logins = Vec::new();
    let mut after = None;
    loop {
        let page = people.list(after.as_ref(), 2).await.expect("an answer");
        let Some(last) = page.last() else { break };
        after = Some(last.login.clone());
        logins.extend(page.into_iter().map(|user| user.login.to_string()));
    }
    assert_eq!(logins, ["ann", "ben", "dora", "zoe", "émile"]);
}

on_both_stores!(an_addition_is_repeated_by_its_id_and_no_more_people_are_added_than_allowed);
async fn an_addition_is_repeated_by_its_id_and_no_more_people_are_added_than_allowed(place: TestStore) {
    let (people, id) = (People::new(place.store.clone()), Uuid::now_v7());
    let add =
        async |id, name: &str| people.add(id, &login(name), Role::Viewer, &password(LAMPS)).await.expect("an answer");
    assert!(matches!(add(id, "ann").await, Added::Added(_)));
    assert!(matches!(add(id, "ann").await, Added::Added(_)), "a repetition");
    assert_eq!(add(Uuid::now_v7(), "ann").await, Added::LoginTaken);
    let random = match place.kind {
        Kind::Postgres => "select gen_random_uuid(), 'user' || n, 'viewer' from generate_series(2, 10000) n",
        Kind::Sqlite => {
            "with recursive n(i) as (select 2 union all select i + 1 from n where i < 10000)
             select randomblob(16), 'user' || i, 'viewer' from n"
        }
    };
    place.execute(&format!("insert into users (id, login, role) {random}")).await;
    assert_eq!(place.number("select count(*) from users").await, USERS_MAX as i64);
    assert_eq!(add(Uuid::now_v7(), "ben").await, Added::TooMany);
    assert!(matches!(add(id, "ann").await, Added::Added(_)), "a repetition needs no room");
    people.remove(&login("user7"), LastAdmin::Keep).await.expect("an answer");
    assert!(matches!(add(Uuid::now_v7(), "ben").await, Added::Added(_)));
}

#[tokio::test]
async fn an_addition_whose_answer_is_lost_is_stored_once() {
    let place = TestStore::postgres().await;
    for loss in [Loss::AnswerToCommit, Loss::Commit] {
        let proxy = Proxy::start(&place.url).await;
        let (people, id) = (People::new(place.open_at(&proxy.url).await), Uuid::now_v7());
        let name = login(&format!("ann-{loss:?}"));
        proxy.lose(loss, 1);
        let lost = people.add(id, &name, Role::Viewer, &password(LAMPS)).await.expect_err("no answer");
        assert!(proxy.losses_left() == 0, "{lost}");
        let added = people.add(id, &name, Role::Viewer, &password(LAMPS)).await.expect("an answer");
        assert!(matches!(added, Added::Added(_)), "{loss:?}");
        assert_eq!(place.number(&format!("select count(*) from users where login = '{name}'")).await, 1);
    }
    assert_eq!(place.texts(AUDITED).await.len(), 2);
}

on_both_stores!(neither_passwords_nor_tokens_are_in_the_store);
async fn neither_passwords_nor_tokens_are_in_the_store(place: TestStore) {
    let people = People::new(place.store.clone());
    add(&people, "ann", Role::Admin).await;
    let session = sign_in(&people, "ann", LAMPS).await.expect("a session");
    let link = invited(&people, "ben").await;
    let hex = |column: &str| match place.kind {
        Kind::Postgres => format!("encode({column}, 'hex')"),
        Kind::Sqlite => format!("lower(hex({column}))"),
    };
    let mut stored = place.texts("select login || coalesce(password_hash, '') from users").await;
    for table in ["sessions", "invitations"] {
        stored.extend(place.texts(&format!("select {} from {table}", hex("digest"))).await);
    }
    stored.extend(place.texts(AUDITED).await);
    let stored = stored.join("\n");
    let digest: String = session.token.digest().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(stored.contains("$argon2id$") && stored.contains(&digest), "{stored}");
    for secret in [LAMPS.to_owned(), session.token.text(), link.text()] {
        assert!(!stored.contains(&secret));
    }
}
