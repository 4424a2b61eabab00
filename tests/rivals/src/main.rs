//! Reads the same INVITE with Cordboard's parser and with others, in one run: its method, the branch of its Via, the tags
//! of From and To, its Call-ID, the number of its CSeq, and the user of its Contact. Prints what each takes.
//!
//! The parsers take turns, round after round, so that what else the machine does meets all of them; the median of the
//! rounds counts. What each has read is summed up and has to be the same.

use std::hint::black_box;
use std::time::Instant;

/// The INVITE, 933 bytes.
const INVITE: &[u8] = include_bytes!("../../samples/invite.sip");
/// How often it is read in one turn, and how many turns each parser has.
const AT_ONCE: u32 = 5000;
const ROUNDS: usize = 41;

unsafe extern "C" {
    fn prepare_osip() -> std::ffi::c_int;
    fn read_with_osip(bytes: *const u8, length: usize) -> usize;
}

fn cordboard(bytes: &[u8]) -> Option<usize> {
    use cordboard_core::sip::message::{Message, parse};
    let Ok(Message::Request(request)) = parse(bytes) else { return None };
    let texts = [
        request.method.as_str(),
        request.via.branch()?,
        request.from.tag()?,
        request.to.tag()?,
        request.call_id,
        request.contact()?.uri.user?,
    ];
    Some(sum(texts, request.cseq.number))
}

fn rsip(bytes: &[u8]) -> Option<usize> {
    use rsip::prelude::*;
    let request = rsip::Request::try_from(bytes).ok()?;
    let via = request.via_header().ok()?.typed().ok()?;
    let from = request.from_header().ok()?.typed().ok()?;
    let to = request.to_header().ok()?.typed().ok()?;
    let cseq = request.cseq_header().ok()?.typed().ok()?;
    let contact = request.contact_header().ok()?.typed().ok()?;
    let texts = [
        &request.method().to_string(),
        via.branch()?.value(),
        from.tag()?.value(),
        to.tag()?.value(),
        request.call_id_header().ok()?.value(),
        contact.uri.user()?,
    ];
    Some(sum(texts, cseq.seq))
}

fn rsipstack(bytes: &[u8]) -> Option<usize> {
    use rsipstack::sip::prelude::*;
    let request = rsipstack::sip::Request::try_from(bytes).ok()?;
    let via = request.via_header().ok()?.typed().ok()?;
    let from = request.from_header().ok()?.typed().ok()?;
    let to = request.to_header().ok()?.typed().ok()?;
    let cseq = request.cseq_header().ok()?.typed().ok()?;
    let contact = request.contact_header().ok()?.typed().ok()?;
    let texts = [
        &request.method().to_string(),
        via.branch()?.value(),
        from.tag()?.value(),
        to.tag()?.value(),
        request.call_id_header().ok()?.value(),
        contact.uri.user()?,
    ];
    Some(sum(texts, cseq.seq))
}

fn osip2(bytes: &[u8]) -> Option<usize> {
    // SAFETY: it reads so many bytes, and keeps none of them.
    let sum = unsafe { read_with_osip(bytes.as_ptr(), bytes.len()) };
    (sum > 0).then_some(sum)
}

fn sum<const N: usize>(texts: [&str; N], number: u32) -> usize {
    texts.iter().map(|text| text.len()).sum::<usize>() + number as usize
}

/// Nanoseconds a message in one turn.
fn turn(read: fn(&[u8]) -> Option<usize>) -> f64 {
    let start = Instant::now();
    for _ in 0..AT_ONCE {
        black_box(read(black_box(INVITE)));
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(AT_ONCE)
}

fn main() {
    // SAFETY: once, before anything is read.
    assert_eq!(unsafe { prepare_osip() }, 0, "osip2 starts");
    let parsers: [(&str, fn(&[u8]) -> Option<usize>); 4] =
        [("cordboard-core", cordboard), ("rsip", rsip), ("rsipstack", rsipstack), ("osip2", osip2)];
    for (name, read) in parsers {
        assert_eq!(read(INVITE), cordboard(INVITE), "{name} reads something else");
    }
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        for ((_, read), times) in parsers.iter().zip(&mut times) {
            times.push(turn(*read));
        }
    }
    println!("| reading a {}-byte INVITE | ns, median | ns, best | of the first |", INVITE.len());
    println!("|---|---|---|---|");
    let mut first = None;
    for ((name, _), mut times) in parsers.into_iter().zip(times) {
        times.sort_by(f64::total_cmp);
        let (median, best) = (times[ROUNDS / 2], times[0]);
        let times = median / *first.get_or_insert(median);
        println!("| {name} | {median:.0} | {best:.0} | {times:.1} × |");
    }
}
