//! Reading and writing SIP messages.

use std::hint::black_box;
use std::net::SocketAddr;

use cordboard_core::sip::message::{Head, Message, Method, Name, Request, Status, Writer, parse};
use cordboard_tests::samples;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Reads what a call needs of every message.
fn read(bytes: &[u8]) {
    let message = parse(black_box(bytes)).expect("it is sound");
    let head: &Head<'_> = match &message {
        Message::Request(request) => {
            black_box(request.method);
            request
        }
        Message::Response(response) => {
            black_box(response.status);
            response
        }
    };
    black_box((head.via.branch(), head.from.tag(), head.to.tag(), head.call_id, head.cseq, head.contact()));
}

fn parsing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    for (name, bytes) in samples::ALL {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| read(bytes)));
    }
    group.finish();
}

fn request(bytes: &[u8]) -> Request<'_> {
    match parse(bytes) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

/// An INVITE as ours are, its values taken from the sample.
fn write_invite(out: &mut Vec<u8>, like: &Request<'_>) {
    let mut writer = Writer::request(out, Method::Invite, like.uri.raw);
    writer
        .field_parts(
            Name::Via,
            &["SIP/2.0/UDP ", "192.0.2.1:6050", ";branch=", "z9hG4bK0123456789abcdef", ";rport"],
        )
        .number(Name::MaxForwards, 70)
        .field_parts(Name::From, &[like.from.uri.raw, ";tag=", "0c4d7e21b6f5a390"])
        .field(Name::To, like.to.raw)
        .field(Name::CallId, like.call_id)
        .cseq(1, Method::Invite)
        .field(Name::Contact, "<sip:cordboard@192.0.2.1:6050>")
        .field(Name::Allow, "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, REFER, UPDATE, INFO, MESSAGE, PRACK")
        .field(Name::Supported, "100rel, replaces, timer");
    writer.body("application/sdp", |out| out.extend_from_slice(like.body));
}

fn writing(criterion: &mut Criterion) {
    let source = SocketAddr::from(([192, 0, 2, 22], 5060));
    let (invite, notify) = (request(samples::INVITE), request(samples::NOTIFY));
    let mut out = Vec::with_capacity(2048);
    let mut group = criterion.benchmark_group("write");
    group.bench_function("INVITE with SDP", |bencher| {
        bencher.iter(|| {
            out.clear();
            write_invite(&mut out, black_box(&invite));
            black_box(out.len())
        });
    });
    group.bench_function("200 to NOTIFY", |bencher| {
        bencher.iter(|| {
            out.clear();
            Writer::answer(&mut out, black_box(&notify), source, Status::OK, None).end();
            black_box(out.len())
        });
    });
    group.finish();
}

criterion_group!(messages, parsing, writing);
criterion_main!(messages);
