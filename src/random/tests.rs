//! Tests of the generator, and mutations for the tests of readers.

use super::*;

/// Bytes that mean something to a reader.
const TELLING: &[u8] = b"\0\xff\x7f\x80\"\\{}[]:,<>=/ \n\r";

/// A copy of `valid` after one to four changes: bits turned, bytes and numbers replaced, parts left out, repeated or
/// moved. The same for the same state of `random`.
pub(crate) fn mutated(valid: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = valid.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(16)).min(bytes.len());
        let to = random.below(bytes.len() + 1);
        match random.below(6) {
            0 => bytes[at..end].iter_mut().for_each(|byte| *byte ^= 1 << random.below(8)),
            1 => bytes[at..end].fill(TELLING[random.below(TELLING.len())]),
            2 => drop(bytes.drain(at..end)),
            3 => bytes.insert(at, TELLING[random.below(TELLING.len())]),
            4 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(to..to, part);
            }
            _ => {
                let number = [u64::MAX, 1 << 40, 1 << 31, 0][random.below(4)].to_le_bytes();
                let end = (at + number.len()).min(bytes.len());
                bytes.splice(at..end, number);
            }
        }
    }
    bytes
}

#[test]
fn the_generator_gives_the_published_numbers() {
    let mut random = Random::new(1_234_567);
    assert_eq!([random.next(), random.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    let mut items: Vec<u32> = (0..50).collect();
    Random::new(7).shuffle(&mut items);
    let mut sorted = items.clone();
    sorted.sort_unstable();
    assert!(items != sorted && sorted == (0..50).collect::<Vec<_>>());
}

#[test]
fn mutations_differ_and_come_again_from_the_same_seed() {
    let valid = b"{\"a\": [1, 2, 3]}".repeat(4);
    let run = || {
        let mut random = Random::new(3);
        (0..200).map(|_| mutated(&valid, &mut random)).collect::<Vec<_>>()
    };
    let mutants = run();
    assert_eq!(mutants, run());
    assert!(mutants.iter().filter(|mutant| **mutant != valid).count() > 150);
    assert!(mutated(&[], &mut Random::new(1)).len() <= 32);
}
