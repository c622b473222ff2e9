//! One test per store: it appears in the output once per store, so that one store can be tested alone
//! (`cargo test --test store sqlite`) and a failure names its store.

/// Declares the tests `name::sqlite` and `name::postgres` of a function `name` that takes a [`TestStore`].
///
/// [`TestStore`]: crate::stores::TestStore
#[macro_export]
macro_rules! on_both_stores {
    ($test:ident) => {
        $crate::on_stores!([sqlite, postgres] $test);
    };
}

/// Does the same as [`on_both_stores`], with PostgreSQL in every way that it may be set up: also `name::partitioned` and
/// `name::pgbouncer`.
#[macro_export]
macro_rules! on_all_stores {
    ($test:ident) => {
        $crate::on_stores!([sqlite, postgres, partitioned, pgbouncer] $test);
    };
}

/// Declares a test for each of these stores, which are named like the functions that make them. What follows in
/// parentheses are options of `tokio::test`.
#[macro_export]
macro_rules! on_stores {
    ([$($store:ident),+] $test:ident) => {
        $crate::on_stores!([$($store),+] $test ());
    };
    ([$($store:ident),+] $test:ident $options:tt) => {
        mod $test {
            $(
                #[tokio::test $options]
                async fn $store() {
                    super::$test($crate::stores::TestStore::$store().await).await;
                }
            )+
        }
    };
}
