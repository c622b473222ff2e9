//! Opening a connection: every failure is reported with its cause and the fix.

use std::time::{Duration, Instant};

use codemint_worker::broker::connection::BrokerConnection;
use codemint_worker::broker::error::{BrokerError, BrokerErrorClass};
use tokio::net::TcpListener;

use codemint_test_support::authority::Authority;
use codemint_test_support::broker_steps::settings;
use codemint_test_support::cli_steps::assert_names;
use codemint_test_support::rabbitmq::{self, Broker, Setup};

async fn refused(url: &str) -> BrokerError {
    BrokerConnection::open(&settings(url), "test").await.expect_err("no connection")
}

#[tokio::test]
async fn a_wrong_password_and_a_missing_virtual_host_are_distinguished() {
    let vhost = rabbitmq::shared().vhost();
    let wrong = refused(&vhost.url_of("guest", "a-wrong-one")).await;
    assert!(matches!(wrong, BrokerError::Credentials { .. }), "{wrong:?}");
    assert_names(&wrong.to_string(), &["refuses the user or the password", "amqp.url"]);
    assert!(!wrong.to_string().contains("a-wrong-one"), "{wrong}");

    let elsewhere = refused(&format!("{}-not", vhost.url())).await;
    assert!(matches!(elsewhere, BrokerError::VirtualHost { .. }), "{elsewhere:?}");
    assert_names(&elsewhere.to_string(), &["virtual host", &vhost.name, "not found"]);

    let other = rabbitmq::shared().vhost();
    rabbitmq::shared().add_user("elsewhere", "secret", &other, [".*", ".*", ".*"]);
    let not_theirs = refused(&vhost.url_of("elsewhere", "secret")).await;
    assert_names(&not_theirs.to_string(), &["virtual host", "refused for user 'elsewhere'"]);
    for error in [wrong, elsewhere, not_theirs] {
        assert_eq!(error.class(), BrokerErrorClass::Permanent, "{error}");
    }
}

#[tokio::test]
async fn a_port_that_nothing_listens_on_is_a_retryable_error_at_once() {
    let port = codemint_test_support::postgres::free_port();
    let error = refused(&format!("amqp://guest:hidden@127.0.0.1:{port}/%2F")).await;
    assert_names(&error.to_string(), &["cannot be reached", &format!("127.0.0.1:{port}"), "refused"]);
    assert!(!error.to_string().contains("hidden"), "{error}");
    assert_eq!(error.class(), BrokerErrorClass::Away);
}

/// The number of threads of the AMQP library in this process. A thread has its name from its first moment on.
fn io_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("threads");
    let names = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.trim() == "lapin-io-loop").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_accepts_but_stays_silent_is_given_up_and_leaves_no_thread() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let before = io_threads();
    let started = Instant::now();
    let url = format!("amqp://guest:guest@127.0.0.1:{port}/%2F");
    let (error, accepted) = tokio::join!(refused(&url), listener.accept());
    assert!(matches!(error, BrokerError::Silent { .. }), "{error:?}");
    assert_eq!(error.class(), BrokerErrorClass::Away);
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    codemint_test_support::waiting::wait_until("the library's thread has ended", async || io_threads() <= before).await;
    drop(accepted);
}

/// Matters because a worker retries for as long as its broker is away.
#[tokio::test]
async fn failed_attempts_leave_no_task_behind() {
    let vhost = rabbitmq::shared().vhost();
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = alive();
    let away = format!("amqp://guest:guest@127.0.0.1:{}/%2F", codemint_test_support::postgres::free_port());
    for url in [away, vhost.url_of("guest", "wrong"), format!("{}-not", vhost.url())] {
        for _ in 0..20 {
            refused(&url).await;
        }
        BrokerConnection::open(&settings(&vhost.url()), "test").await.expect("a connection").close().await;
        codemint_test_support::waiting::wait_until(&format!("no task left of {url}"), async || alive() <= before).await;
    }
}

#[tokio::test]
async fn a_broker_that_hangs_up_at_once_is_a_retryable_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let hang_up = async { drop(listener.accept().await) };
    let url = format!("amqp://guest:guest@127.0.0.1:{port}/%2F");
    let (error, ()) = tokio::join!(refused(&url), hang_up);
    assert_eq!(error.class(), BrokerErrorClass::Away, "{error:?}");
    assert_names(&error.to_string(), &["cannot be reached"]);
}

#[tokio::test]
async fn a_broker_is_accepted_only_with_a_certificate_of_a_trusted_authority() {
    let authority = Authority::create();
    let (certificate, key) = authority.server_certificate("localhost");
    let lines = "listeners.ssl.default = 127.0.0.1:{tls_port}\nssl_options.certfile = {directory}/server.crt\n\
                 ssl_options.keyfile = {directory}/server.key";
    let files = vec![("server.crt".to_owned(), certificate), ("server.key".to_owned(), key)];
    let broker = Broker::start_with(&Setup { settings: lines.to_owned(), files });
    let url = broker.vhost().tls_url();
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).expect("a file");
        Some(path)
    };

    let mut settings = settings(&url);
    settings.ca_file = file("right.pem", &authority.certificate_pem());
    BrokerConnection::open(&settings, "test").await.expect("a connection").close().await;

    for ca_file in [None, file("wrong.pem", &Authority::create().certificate_pem())] {
        settings.ca_file = ca_file;
        let error = BrokerConnection::open(&settings, "test").await.expect_err("no connection");
        assert_names(&error.to_string(), &["no encrypted connection", "certificate", "amqp.ca_file"]);
        assert_eq!(error.class(), BrokerErrorClass::Permanent);
    }

    settings.ca_file = file("empty.pem", "nothing of the kind");
    let error = BrokerConnection::open(&settings, "test").await.expect_err("no connection");
    assert_names(&error.to_string(), &["amqp.ca_file", "empty.pem", "holds no certificate"]);

    settings.ca_file = Some("/dev/zero".into());
    let error = BrokerConnection::open(&settings, "test").await.expect_err("no connection");
    assert_names(&error.to_string(), &["amqp.ca_file", "/dev/zero", "more than 4194304 bytes"]);

    settings.ca_file = file("right.pem", &authority.certificate_pem());
    settings.url = url.replace("localhost", "127.0.0.1").parse().expect("a URL");
    let error = BrokerConnection::open(&settings, "test").await.expect_err("no connection");
    assert_names(&error.to_string(), &["no encrypted connection", "not valid for name"]);
}

#[tokio::test]
async fn an_encrypted_connection_to_a_plain_port_is_a_permanent_error() {
    let vhost = rabbitmq::shared().vhost();
    let error = refused(&vhost.url().replace("amqp://", "amqps://")).await;
    assert_names(&error.to_string(), &["no encrypted connection"]);
    assert_eq!(error.class(), BrokerErrorClass::Permanent);
}
