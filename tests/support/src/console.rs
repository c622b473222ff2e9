//! A person at the console of `codemint serve`: a browser without scripts.

use codemint_campaigns::people::People;
use codemint_offers::access::session::FormToken;
use url::form_urlencoded;
use uuid::Uuid;

use crate::api::{Answer, ApiServer};
use crate::stores::TestStore;

/// A person who has signed in.
#[derive(Debug)]
pub struct Console<'a> {
    server: &'a ApiServer,
    /// The header that a browser sends.
    pub cookie: String,
    pub form_token: String,
}

impl<'a> Console<'a> {
    /// Signs in a person of this role, whose login is the name of the role.
    pub async fn sign_in(server: &'a ApiServer, place: &TestStore, role: &str) -> Self {
        let people = People::new(place.store.clone());
        let (login, known) = (role.parse().expect("a login"), role.parse().expect("a role"));
        // Somebody may be there already.
        let _invited = people.invite(Uuid::now_v7(), &login, known).await.expect("a person");
        let signed_in = people.sign_in_trusted(role).await.expect("a store").expect("a person");
        let form_token = FormToken::of(&signed_in.token).text();
        Self { server, cookie: format!("codemint={}", signed_in.token.text()), form_token }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.server.send("GET", path, None, &[("cookie", &self.cookie), ("accept", "text/html")], None).await
    }

    /// Returns the page, which is there.
    ///
    /// # Panics
    /// If it is not.
    pub async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")), "{answer:?}");
        answer.body
    }

    /// Asks for the part of a page as its script does.
    pub async fn part(&self, path: &str) -> Answer {
        self.server.send("GET", path, None, &[("cookie", &self.cookie), ("x-part", "1")], None).await
    }

    /// Sends a form of a page.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.send_form(path, &self.form_token, fields).await
    }

    /// Sends a form with another token than that of the page.
    pub async fn send_form(&self, path: &str, form_token: &str, fields: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("form_token", form_token)
            .extend_pairs(fields)
            .finish();
        let headers = [("cookie", &*self.cookie), ("content-type", "application/x-www-form-urlencoded")];
        self.server.send("POST", path, None, &headers, Some(body)).await
    }
}

impl Answer {
    /// Returns where the browser is sent after a form.
    ///
    /// # Panics
    /// If it is not sent anywhere.
    #[track_caller]
    pub fn location(&self) -> &str {
        assert_eq!(self.status, 303, "{self:?}");
        self.header("location").unwrap_or_else(|| panic!("no location: {self:?}"))
    }
}

/// Returns the text of a page as a person reads it, on one line: without tags and with characters instead of their names.
pub fn text_of(page: &str) -> String {
    let mut text = String::new();
    for (at, piece) in page.split('<').enumerate() {
        let shown = if at == 0 { piece } else { piece.split_once('>').map_or("", |(_, shown)| shown) };
        text.push_str(shown);
        text.push(' ');
    }
    let unescaped = text.replace("&#60;", "<").replace("&#62;", ">").replace("&#34;", "\"").replace("&#39;", "'").replace("&#38;", "&");
    unescaped.split_whitespace().collect::<Vec<_>>().join(" ")
}
