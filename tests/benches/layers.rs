//! Layers alone: both sides of Digest, and transactions through their lives.

use std::hint::black_box;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use cordboard_core::digest::Algorithm;
use cordboard_core::measuring::{Digest, Element};
use cordboard_core::sip::message::Method;
use cordboard_tests::samples;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

fn digest(criterion: &mut Criterion) {
    for algorithm in [Algorithm::Md5, Algorithm::Sha256, Algorithm::Sha512_256] {
        let mut digest = Digest::new(algorithm);
        let mut line = Vec::with_capacity(512);
        criterion.bench_function(&format!("digest/{}, answer", algorithm.name()), |bencher| {
            bencher.iter(|| {
                line.clear();
                digest.answer(&mut line);
                black_box(line.len())
            });
        });
        let digest = std::cell::RefCell::new(Digest::new(algorithm));
        criterion.bench_function(&format!("digest/{}, verify", algorithm.name()), |bencher| {
            bencher.iter_batched(
                // No line lets anybody in twice, so each is made for its turn, and in its order.
                || {
                    let mut line = Vec::new();
                    digest.borrow_mut().answer(&mut line);
                    let line = String::from_utf8(line).expect("it is text");
                    line.trim_end().strip_prefix("Authorization: ").expect("its name").to_owned()
                },
                |authorization| assert!(digest.borrow_mut().judge(black_box(&authorization))),
                BatchSize::SmallInput,
            );
        });
    }
}

/// So long after one transaction the next begins: a hundred in a second, of which those of 32 seconds live at once.
const PAUSE: Duration = Duration::from_millis(10);

fn own() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 6050))
}

fn peer() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 22], 5060))
}

/// Where the branch of the first Via stands.
fn branch(message: &[u8]) -> Range<usize> {
    let text = std::str::from_utf8(message).expect("it is text");
    let start = text.find("branch=").expect("it has a branch") + "branch=".len();
    let length = text[start..].find([';', '\r']).expect("it ends");
    start..start + length
}

/// A response with room for a branch of that length.
fn response(sample: &[u8], length: usize) -> (Vec<u8>, Range<usize>) {
    let place = branch(sample);
    let bytes = [&sample[..place.start], &vec![b'0'; length], &sample[place.end..]].concat();
    (bytes, place.start..place.start + length)
}

fn client_invite(criterion: &mut Criterion) {
    let mut element = Element::new(own(), peer());
    let place = branch(samples::INVITE);
    let around = [&samples::INVITE[..place.start], &samples::INVITE[place.end..]];
    let length = branch(element.request(Method::Invite, around)).len();
    let mut answers =
        [samples::RINGING, samples::RINGING, samples::OK].map(|sample| response(sample, length));
    criterion.bench_function("transaction/client INVITE, 180, 180, 200", |bencher| {
        bencher.iter(|| {
            let sent = element.request(Method::Invite, black_box(around));
            // All that the peer's part costs: the branch is put where it belongs.
            let own = &sent[place.start..place.start + length];
            for (bytes, room) in &mut answers {
                bytes[room.clone()].copy_from_slice(own);
            }
            for (bytes, _) in &answers {
                assert!(element.hear(bytes));
            }
            element.pass(PAUSE);
        });
    });
    assert!(element.transactions() <= 3300, "those of before are over");
}

fn server_notify(criterion: &mut Criterion) {
    let mut element = Element::new(own(), peer());
    let mut notify = samples::NOTIFY.to_vec();
    let place = branch(&notify);
    let digits = place.start + "z9hG4bK-".len()..place.start + "z9hG4bK-00000000".len();
    let mut number = 0u32;
    criterion.bench_function("transaction/server NOTIFY, 200, a copy, 200", |bencher| {
        bencher.iter(|| {
            number = number.wrapping_add(1);
            for (place, digit) in notify[digits.clone()].iter_mut().enumerate() {
                *digit = b'a' + ((number >> (4 * place)) & 15) as u8;
            }
            for _ in 0..2 {
                assert!(!element.serve(black_box(&notify)).is_empty());
            }
            element.pass(PAUSE);
        });
    });
    assert!(element.transactions() <= 3300, "those of before are over");
}

criterion_group!(layers, digest, client_invite, server_notify);
criterion_main!(layers);
