//! Invitations: the first person, and links that are valid once.

use chrono::{TimeDelta, Utc};
use codemint_campaigns::people::{Accepted, People, SignedIn, Visitor};
use codemint_campaigns::staff::InvitedPerson;
use codemint_offers::access::password::PasswordError;
use codemint_offers::access::role::Role;
use codemint_test_support::on_both_stores;
use codemint_test_support::stores::TestStore;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::people::{
    A_SECOND, AUDITED, DOORS, LAMPS, accept, add, invited, is_not_valid, login, sign_in, signed_in, visitor,
};

on_both_stores!(the_first_person_is_an_administrator_by_the_last_link_only);
async fn the_first_person_is_an_administrator_by_the_last_link_only(place: TestStore) {
    let (people, elsewhere) = (People::new(place.store.clone()), People::new(place.open_again().await));
    let earlier = people.first_invitation().await.expect("an answer").expect("nobody is there");
    let link = elsewhere.first_invitation().await.expect("an answer").expect("nobody is there");
    assert_eq!(people.invitation(&earlier).await.expect("an answer"), None, "a later link replaces it");
    let invited = people.invitation(&link).await.expect("an answer").expect("a link");
    assert_eq!((invited.login, invited.role), (None, Role::Admin));
    assert!(is_not_valid(&accept(&people, &earlier, "ann", LAMPS).await));
    for (text, error) in [("short", PasswordError::TooShort(5)), ("password1234", PasswordError::Common)] {
        let refused = accept(&people, &link, "ann", text).await;
        assert!(matches!(refused, Accepted::Password(found) if found == error), "{refused:?}");
    }
    let SignedIn { token, visitor: ann } = signed_in(accept(&people, &link, "Ann", LAMPS).await);
    assert_eq!((ann.login.as_str(), ann.role), ("ann", Role::Admin));
    assert_eq!(visitor(&elsewhere, &token).await, Some(ann));
    assert!(sign_in(&elsewhere, "ann", LAMPS).await.is_some());
    assert_eq!(people.invitation(&link).await.expect("an answer"), None, "it was used");
    assert!(is_not_valid(&accept(&people, &link, "eve", LAMPS).await));
    assert!(elsewhere.first_invitation().await.expect("an answer").is_none());
    assert_eq!(place.texts(AUDITED).await, ["user_add done ann: admin"]);
}

on_both_stores!(a_first_link_is_void_as_soon_as_somebody_is_there);
async fn a_first_link_is_void_as_soon_as_somebody_is_there(place: TestStore) {
    let people = People::new(place.store.clone());
    let link = people.first_invitation().await.expect("an answer").expect("nobody is there");
    add(&people, "ann", Role::Viewer).await;
    assert_eq!(people.invitation(&link).await.expect("an answer"), None);
    assert!(is_not_valid(&accept(&people, &link, "eve", LAMPS).await));
    assert_eq!(place.number("select count(*) from users").await, 1);
}

on_both_stores!(of_processes_that_accept_a_link_at_the_same_time_one_wins);
async fn of_processes_that_accept_a_link_at_the_same_time_one_wins(place: TestStore) {
    let processes = [People::new(place.store.clone()), People::new(place.open_again().await)];
    for first in [true, false] {
        let link = match first {
            true => processes[0].first_invitation().await.expect("an answer").expect("nobody is there"),
            false => invited(&processes[0], "ben").await,
        };
        let mut attempts = JoinSet::new();
        for number in 0..6 {
            let (people, link) = (processes[number % 2].clone(), link.clone());
            let text = format!("{LAMPS} {number}");
            attempts.spawn(async move { (number, accept(&people, &link, &format!("ann{number}"), &text).await) });
        }
        let (won, lost): (Vec<_>, Vec<_>) =
            attempts.join_all().await.into_iter().partition(|(_, accepted)| matches!(accepted, Accepted::SignedIn(_)));
        assert!(lost.iter().all(|(_, accepted)| is_not_valid(accepted)), "{lost:?}");
        let [(number, accepted)] = &won[..] else { panic!("{won:?}") };
        let name = if first { format!("ann{number}") } else { "ben".to_owned() };
        assert!(sign_in(&processes[1], &name, &format!("{LAMPS} {number}")).await.is_some());
        let Accepted::SignedIn(SignedIn { visitor, .. }) = accepted else { panic!("{accepted:?}") };
        assert_eq!(visitor.login.as_str(), name);
    }
    assert_eq!(place.number("select count(*) from users").await, 2);
}

on_both_stores!(an_invited_person_keeps_the_login_and_only_the_last_link_is_valid);
async fn an_invited_person_keeps_the_login_and_only_the_last_link_is_valid(place: TestStore) {
    let people = People::new(place.store.clone());
    let earlier = invited(&people, "ben").await;
    let taken = people.invite(Uuid::now_v7(), &login("ben"), Role::Admin).await.expect("an answer");
    assert!(matches!(taken, InvitedPerson::LoginTaken));
    let (user, link) = people.invite_again(&login("ben")).await.expect("an answer").expect("the user");
    assert!(people.invite_again(&login("eve")).await.expect("an answer").is_none());
    assert!(is_not_valid(&accept(&people, &earlier, "ben", LAMPS).await));
    let refused = accept(&people, &link, "eve", "benbenbenben").await;
    assert!(matches!(refused, Accepted::Password(PasswordError::IsLogin)), "the login is the one invited: {refused:?}");
    let ben = signed_in(accept(&people, &link, "eve", LAMPS).await).visitor;
    assert_eq!(ben, Visitor { user_id: user.id, login: login("ben"), role: Role::Marketer });
    let audited = ["user_add", "user_invite", "user_invite", "user_password"];
    assert_eq!(place.texts(AUDITED).await, audited.map(|action| format!("{action} done ben: marketer")));
}

on_both_stores!(a_link_to_a_new_password_ends_the_sessions_when_it_is_accepted);
async fn a_link_to_a_new_password_ends_the_sessions_when_it_is_accepted(place: TestStore) {
    let people = People::new(place.store.clone());
    add(&people, "ann", Role::Admin).await;
    let before = sign_in(&people, "ann", LAMPS).await.expect("a session");
    let (_, link) = people.invite_again(&login("ann")).await.expect("an answer").expect("the user");
    assert!(sign_in(&people, "ann", LAMPS).await.is_some(), "nothing has changed yet");
    let after = signed_in(accept(&people, &link, "ann", DOORS).await);
    tokio::time::sleep(A_SECOND).await;
    assert_eq!(visitor(&people, &before.token).await, None);
    assert!(visitor(&people, &after.token).await.is_some());
    assert!(sign_in(&people, "ann", LAMPS).await.is_none() && sign_in(&people, "ann", DOORS).await.is_some());
}

on_both_stores!(an_invitation_ends_after_a_day_and_is_removed_by_a_sign_in);
async fn an_invitation_ends_after_a_day_and_is_removed_by_a_sign_in(place: TestStore) {
    let people = People::new(place.store.clone());
    add(&people, "ann", Role::Admin).await;
    let link = invited(&people, "ben").await;
    let (digest, now) = (link.digest(), Utc::now());
    let valid_at = async |at| place.store.find_invitation(&digest, at).await.expect("an answer").is_some();
    assert!(valid_at(now + TimeDelta::hours(24) - TimeDelta::seconds(10)).await);
    assert!(!valid_at(now + TimeDelta::hours(24) + TimeDelta::seconds(10)).await);
    place.execute("update invitations set expires_at = '2020-01-01T00:00:00.000Z'").await;
    assert!(is_not_valid(&accept(&people, &link, "ben", LAMPS).await));
    assert_eq!(place.number("select count(*) from invitations").await, 1);
    sign_in(&people, "ann", LAMPS).await.expect("a session");
    assert_eq!(place.number("select count(*) from invitations").await, 0);
}
