//! The console of a running server, used by the browser of a person with a session.

use codemint_campaigns::people::People;
use codemint_offers::access::role::Role;
use codemint_offers::access::session::FormToken;
use url::form_urlencoded;
use uuid::Uuid;

use crate::api::{Answer, ApiServer};
use crate::stores::TestStore;

/// Between the parts of a form with a file.
const BOUNDARY: &str = "----codemint-boundary";

/// The browser of a person.
#[derive(Debug)]
pub struct Console<'a> {
    server: &'a ApiServer,
    pub login: String,
    cookie: String,
    pub form_token: String,
}

impl<'a> Console<'a> {
    /// Adds a person with this role, who signs in.
    pub async fn sign_in(server: &'a ApiServer, place: &TestStore, role: Role) -> Self {
        let (people, id) = (People::new(place.store.clone()), Uuid::now_v7());
        let login = format!("{}-{}", role.into_str(), id.simple());
        people.invite(id, &login.parse().expect("a login"), role).await.expect("a person");
        let signed_in = people.sign_in_trusted(&login).await.expect("a store").expect("a person");
        let (cookie, form_token) = (signed_in.token.text(), FormToken::of(&signed_in.token).text());
        Self { server, login, cookie: format!("codemint={cookie}"), form_token }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.server.send("GET", path, None, &[("cookie", &self.cookie)], None).await
    }

    /// Returns a page as its text.
    ///
    /// # Panics
    /// If the status is not 200.
    pub async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    /// Sends a form with these fields and the token of the session.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_with_token(path, fields, &self.form_token).await
    }

    pub async fn post_with_token(&self, path: &str, fields: &[(&str, &str)], token: &str) -> Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        let body = form.append_pair("form_token", token).extend_pairs(fields).finish();
        let headers = [
            ("cookie", self.cookie.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
            ("sec-fetch-site", "same-origin"),
        ];
        self.server.send("POST", path, None, &headers, Some(body)).await
    }

    /// Sends a form with a file.
    pub async fn upload(&self, path: &str, file: &str) -> Answer {
        self.upload_with_token(path, file, Some(&self.form_token)).await
    }

    pub async fn upload_with_token(&self, path: &str, file: &str, token: Option<&str>) -> Answer {
        let mut body = String::new();
        if let Some(token) = token {
            body += &format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"form_token\"\r\n\r\n{token}\r\n");
        }
        body += &format!(
            "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"list\"; filename=\"list.csv\"\r\ncontent-type: text/csv\r\n\r\n\
             {file}\r\n--{BOUNDARY}--\r\n"
        );
        let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
        let headers = [
            ("cookie", self.cookie.as_str()),
            ("content-type", content_type.as_str()),
            ("sec-fetch-site", "same-origin"),
        ];
        self.server.send("POST", path, None, &headers, Some(body)).await
    }
}

impl Answer {
    /// Returns where a form leads after it was accepted.
    ///
    /// # Panics
    /// If it was not accepted.
    #[track_caller]
    pub fn expect_redirect(&self) -> &str {
        assert_eq!(self.status, 303, "{self:?}");
        self.header("location").expect("a place")
    }

    /// Returns the page that shows what is wrong.
    ///
    /// # Panics
    /// If the status is another one.
    #[track_caller]
    pub fn expect_page(&self, status: u16) -> &str {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("text/html; charset=utf-8"), "{self:?}");
        &self.body
    }
}
