//! Hostile bytes, made of pieces that a reader understands.

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::sample::select;

/// Mostly pieces that the reader understands, with arbitrary bytes between; sometimes arbitrary bytes alone.
pub fn made_of(pieces: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let known = select(pieces).prop_map(|piece| piece.as_bytes().to_vec());
    let piece = prop_oneof![20 => known, 1 => vec(any::<u8>(), 0..4)];
    let pieces = vec(piece, 0..60).prop_map(|pieces| pieces.concat());
    prop_oneof![4 => pieces, 1 => vec(any::<u8>(), 0..300)]
}
