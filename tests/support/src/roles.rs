//! Users with the rights of the roles in `deploy/postgres/roles.sql`. Their names begin with that of a database, so
//! that tests on one server do not collide.

use sqlx::{Connection, Executor, PgConnection};
use url::Url;

use crate::psql::run_script;

/// The password of all users that are created here.
pub const PASSWORD: &str = "P0stgres-Pa55word";
const SCRIPT: &str = include_str!("../../../deploy/postgres/roles.sql");

/// Creates a user that is a member of a role, in a database with a current schema; returns the user's URL.
pub async fn url_of_member(database_url: &str, role: &str) -> String {
    grant(database_url, SCRIPT).await;
    create_user(database_url, role, &format!("user_{role}")).await
}

/// Creates a user that may create the tables, in an empty database; returns the user's URL.
pub async fn url_of_owner(database_url: &str) -> String {
    url_of_owner_by(database_url, SCRIPT).await
}

/// Does the same with the roles of another version.
pub async fn url_of_owner_by(database_url: &str, script: &str) -> String {
    let (before_the_tables, _) = script.split_once("\n-- ---").expect("a line");
    grant(database_url, before_the_tables).await;
    let url = create_user(database_url, "owner", "user_owner").await;
    let database = name_of(database_url);
    execute(database_url, &format!("alter role {database}_user_owner set role {database}_owner")).await;
    url
}

/// Creates a user that is a member of a role, and returns the user's URL.
pub async fn create_user(database_url: &str, role: &str, name: &str) -> String {
    let database = name_of(database_url);
    let user = format!("{database}_{name}");
    execute(database_url, &format!("create role {user} login password '{PASSWORD}' in role {database}_{role}")).await;
    let mut url = Url::parse(database_url).expect("a URL");
    url.set_username(&user).expect("a user");
    url.set_password(Some(PASSWORD)).expect("a password");
    url.into()
}

fn name_of(database_url: &str) -> String {
    let url = Url::parse(database_url).expect("a URL");
    url.path().trim_start_matches('/').to_owned()
}

async fn execute(database_url: &str, sql: &str) {
    let mut connection = PgConnection::connect(database_url).await.expect("a connection");
    connection.execute(sql).await.expect(sql);
}

/// Runs such a script as a superuser.
pub async fn grant(database_url: &str, script: &str) {
    let script = script.replace("codemint_", &format!("{}_", name_of(database_url)));
    run_script(database_url, &["--single-transaction", "-v", "ON_ERROR_STOP=1"], &script).await.expect_code(0);
}
