use codemint::code::{keyspace::Keyspace, random::*, slice::*};
use std::time::Instant;
fn main() {
    for (text, count) in [
        ("MY_LITTLE_PROMO????##", 1_000_000u64),
        ("MY_LITTLE_PROMO????##", 1_000_000u64),
        ("[:safe:]{12}", 1_000_000),
        ("*{19}", 1_000_000),
        ("#######", 7_000_000),
        ("MY_LITTLE_PROMO????##", 30_000_000),
    ] {
        let ks = Keyspace::new(&text.parse().unwrap());
        let key = Key::new([1; 32]);
        let slices = count.div_ceil(50_000) as u32;
        let t = Instant::now();
        let mut n = 0;
        let mut b = codemint::code::batch::CodeBatch::default();
        let mut dd = std::time::Duration::ZERO;
        for (c, (slice, quota)) in quotas(&key, 0, ks.size(), count, slices).enumerate() {
            let t0 = Instant::now();
            let d = Draw::new(&key, Stream::chunk(0, c as u32), slice, quota as usize);
            dd += t0.elapsed();
            b = ks.batch_into(b, d.ranks());
            n += b.len();
        }
        let s = t.elapsed();
        println!(
            "{text} {n} {:.1} M/s draw {:.1} ns total {:.1} ns",
            n as f64 / s.as_secs_f64() / 1e6,
            dd.as_secs_f64() / n as f64 * 1e9,
            s.as_secs_f64() / n as f64 * 1e9
        );
    }
}
