//! A person who uses the console as a browser does: with a cookie, and with the token of its forms.

use std::io::{Seek, Write};

use url::form_urlencoded;

use crate::api::{Answer, ApiServer};
use crate::stores::TestStore;

/// The password of all people of tests.
pub const PASSWORD: &str = "seven green lamps";

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// A person who has signed in.
#[derive(Clone, Debug)]
pub struct Console {
    /// The header `cookie`.
    pub cookie: String,
    pub form_token: String,
}

impl Console {
    /// Adds a person with this role and signs in.
    pub async fn sign_in(server: &ApiServer, place: &TestStore, role: &str) -> Self {
        add_user(place, role, role).await;
        Self::sign_in_as(server, role).await
    }

    /// Signs in a person who has [`PASSWORD`].
    pub async fn sign_in_as(server: &ApiServer, login: &str) -> Self {
        let answer = post_openly(server, "/sign-in", &[("login", login), ("password", PASSWORD)]).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        Self::with_cookie(server, cookie_of(&answer)).await
    }

    /// Takes up the session of a cookie.
    pub async fn with_cookie(server: &ApiServer, cookie: String) -> Self {
        let page = server.send("GET", "/campaigns", None, &[("cookie", &cookie)], None).await;
        let form_token = field_of(&page.body, "form_token").unwrap_or_else(|| panic!("a token: {}", page.body));
        Self { cookie, form_token }
    }

    pub async fn get(&self, server: &ApiServer, path: &str) -> Answer {
        server.send("GET", path, None, &[("cookie", &self.cookie)], None).await
    }

    /// Returns a page that must be there.
    pub async fn page(&self, server: &ApiServer, path: &str) -> String {
        let answer = self.get(server, path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    }

    /// Sends a form with the session's token.
    pub async fn post(&self, server: &ApiServer, path: &str, fields: &[(&str, &str)]) -> Answer {
        let fields = [&[("form_token", self.form_token.as_str())], fields].concat();
        self.post_as_it_is(server, path, &fields).await
    }

    /// Sends exactly these fields.
    pub async fn post_as_it_is(&self, server: &ApiServer, path: &str, fields: &[(&str, &str)]) -> Answer {
        let headers = [("cookie", self.cookie.as_str()), FORM];
        server.send("POST", path, None, &headers, Some(encoded(fields))).await
    }
}

/// Sends a form without a session.
pub async fn post_openly(server: &ApiServer, path: &str, fields: &[(&str, &str)]) -> Answer {
    server.send("POST", path, None, &[FORM], Some(encoded(fields))).await
}

/// Adds a person with [`PASSWORD`].
pub async fn add_user(place: &TestStore, login: &str, role: &str) {
    let mut input = tempfile::tempfile().expect("a file");
    input.write_all(PASSWORD.as_bytes()).and_then(|()| input.rewind()).expect("a written file");
    let program = place.codemint(["users", "add", login, "--role", role, "--password-stdin"]);
    program.stdin(input.into()).run().await.expect_code(0);
}

/// Returns the cookie that an answer sets, as the browser sends it back.
pub fn cookie_of(answer: &Answer) -> String {
    let set = answer.headers.iter().find(|(name, _)| name == "set-cookie");
    let (_, value) = set.unwrap_or_else(|| panic!("a cookie: {answer:?}"));
    value.split(';').next().unwrap_or_default().to_owned()
}

/// Returns the value of the first field of this name in a page.
pub fn field_of(page: &str, name: &str) -> Option<String> {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\""))?;
    rest.split('"').next().map(str::to_owned)
}

/// Returns where an answer leads to.
pub fn location_of(answer: &Answer) -> &str {
    let found = answer.headers.iter().find(|(name, _)| name == "location");
    found.map_or_else(|| panic!("a location: {answer:?}"), |(_, location)| location)
}

fn encoded(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}
