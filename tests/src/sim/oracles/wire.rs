//! The controller's messages, as RFC 3261 has them: each request is answered once, each 2xx to INVITE is acknowledged,
//! nothing is sent again but at its time, no branch serves twice.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use cordboard_core::Tick;
use cordboard_core::sip::message::{Message, Method, Request, Response, parse};

use super::{Violation, wrong};

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
/// Rounding to the resolution of timers.
const SLACK: Duration = Duration::from_millis(2);
/// How often a request is sent at the most (§17.1.1.2, §17.1.2.2).
const MOST_SENT: u32 = 11;

/// A request that the controller has sent.
#[derive(Debug)]
struct Sent {
    bytes: Vec<u8>,
    /// Its Call-ID and CSeq number.
    call: (String, u32),
    last: Tick,
    times: u32,
    /// A final response has come.
    answered: bool,
    /// The first one was no 2xx.
    failed: bool,
    by_datagram: bool,
}

/// A request that has come to the controller.
#[derive(Debug, Default)]
struct Came {
    times: u32,
    /// The final response, with how often it was sent.
    answer: Option<(Vec<u8>, u32)>,
    what: String,
}

/// The branch and the method.
type Transaction = (String, String);
/// The topmost Via, and method and number of CSeq: RFC 3261 §17.2.3, with what copies of RFC 2543 differ by.
type Served = (String, String, String);

/// Everything that passes the controller's sockets.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    sent: BTreeMap<Transaction, Sent>,
    /// Whose each branch is: a CANCEL and an ACK have that of their INVITE, and its Call-ID and CSeq number.
    branches: BTreeMap<String, (String, u32)>,
    came: BTreeMap<Served, Came>,
    /// 2xx to INVITE that have come: Call-ID, CSeq number and To tag, and whether they were acknowledged.
    accepted: BTreeMap<(String, u32, String), bool>,
    /// INVITEs without an offer: Call-ID and CSeq number.
    asked_for_offer: BTreeSet<(String, u32)>,
    /// The topmost Via lines of what came and could not be read.
    unreadable: BTreeSet<Vec<u8>>,
    /// Call-IDs of calls that the controller made.
    own_calls: BTreeSet<String>,
}

impl Wire {
    /// Whether this Call-ID is one that the controller made.
    pub(crate) fn made(&self, call_id: &str) -> bool {
        self.own_calls.contains(call_id)
    }

    /// Whether all that could be said to hang a call up was said, for 32 seconds and in vain.
    pub(crate) fn hung_up_in_vain(&self, call_id: &str) -> bool {
        self.sent.iter().any(|((_, method), sent)| {
            method == "BYE" && sent.call.0 == call_id && !sent.answered && sent.times + 1 >= MOST_SENT
        })
    }

    /// The controller sends something.
    pub(crate) fn sends(
        &mut self,
        now: Tick,
        to: SocketAddr,
        bytes: &[u8],
        by_datagram: bool,
    ) -> Result<(), Violation> {
        match parse(bytes) {
            Ok(Message::Request(request)) => self.sends_request(now, &request, bytes, by_datagram),
            Ok(Message::Response(response)) => self.sends_response(&response, bytes, by_datagram),
            // What cannot be read is refused with its own words (§8.2.6.2).
            Err(_) if self.unreadable.iter().any(|via| is_refusal(bytes, via)) => Ok(()),
            Err(e) => wrong(format!(
                "what it sends to {to} cannot be read: {}\n{}",
                e.fault,
                String::from_utf8_lossy(bytes)
            )),
        }
    }

    fn sends_request(
        &mut self,
        now: Tick,
        request: &Request<'_>,
        bytes: &[u8],
        by_datagram: bool,
    ) -> Result<(), Violation> {
        let call = (request.call_id.to_owned(), request.cseq.number);
        if request.method == Method::Ack {
            let tag = request.to.tag().unwrap_or_default().to_owned();
            if let Some(acknowledged) = self.accepted.get_mut(&(call.0, call.1, tag)) {
                *acknowledged = true;
            }
            return Ok(());
        }
        if request.method == Method::Invite && request.to.tag().is_none() {
            self.own_calls.insert(call.0.clone());
        }
        if request.method == Method::Invite && request.body.is_empty() {
            self.asked_for_offer.insert(call.clone());
        }
        let branch = request.via.params.value("branch").unwrap_or_default().to_owned();
        let owner = self.branches.entry(branch.clone()).or_insert_with(|| call.clone());
        if *owner != call {
            return wrong(format!("the branch {branch} of {owner:?} serves {call:?} too"));
        }
        let key = (branch, request.method.as_str().to_owned());
        let Some(sent) = self.sent.get_mut(&key) else {
            let sent = Sent {
                bytes: bytes.to_vec(),
                call,
                last: now,
                times: 1,
                answered: false,
                failed: false,
                by_datagram,
            };
            self.sent.insert(key, sent);
            return Ok(());
        };
        sent.check_again(now, request.method, bytes)
    }

    fn sends_response(
        &mut self,
        response: &Response<'_>,
        bytes: &[u8],
        by_datagram: bool,
    ) -> Result<(), Violation> {
        if response.status.is_provisional() {
            return Ok(());
        }
        let key = served(response.via.raw, response.cseq.method, response.cseq.number);
        // A copy that was spoilt on its way is refused whatever the others got.
        if self.unreadable.iter().any(|via| is_refusal(bytes, via)) {
            if let Some(came) = self.came.get_mut(&key).filter(|came| came.answer.is_none()) {
                came.answer = Some((bytes.to_vec(), 1));
            }
            return Ok(());
        }
        let Some(came) = self.came.get_mut(&key) else {
            return wrong(format!("it answers what nobody asked: {} {key:?}", response.status));
        };
        match &mut came.answer {
            None => came.answer = Some((bytes.to_vec(), 1)),
            // On a connection nothing is a retransmission (§17.2.2).
            Some((first, _))
                if by_datagram
                    && start(first) != start(bytes)
                    && !self.unreadable.iter().any(|via| is_refusal(first, via)) =>
            {
                return wrong(format!(
                    "it answers a request twice, and differently:\n{}\n{}",
                    String::from_utf8_lossy(first),
                    String::from_utf8_lossy(bytes)
                ));
            }
            Some((_, times)) => {
                *times += 1;
                if *times > MOST_SENT + came.times {
                    return wrong(format!("it sends {} {times} times for {key:?}", response.status));
                }
            }
        }
        Ok(())
    }

    /// Something reaches the controller.
    pub(crate) fn reaches(&mut self, bytes: &[u8], ours: impl Fn(&Response<'_>) -> bool) {
        match parse(bytes) {
            Ok(Message::Request(request)) if request.method != Method::Ack => {
                let key = served(request.via.raw, request.method, request.cseq.number);
                let came = self.came.entry(key).or_default();
                came.times += 1;
                came.what = String::from_utf8_lossy(bytes).into_owned();
                if request.method == Method::Bye {
                    self.hung_up(&request);
                }
            }
            Ok(Message::Response(response)) if ours(&response) => self.answered(&response),
            Err(_) => self.unreadable.extend(via_line(bytes)),
            Ok(_) => {}
        }
    }

    /// A phone that has waited for ACK for 64*T1 hangs up (§13.3.1.4): then nothing is to be acknowledged any more, where
    /// the ACK had to wait for an answer to the phone's offer.
    fn hung_up(&mut self, bye: &Request<'_>) {
        let tag = bye.from.tag().unwrap_or_default();
        for ((call_id, cseq, to_tag), acknowledged) in &mut self.accepted {
            let waits = self.asked_for_offer.contains(&(call_id.clone(), *cseq));
            *acknowledged |= waits && call_id == bye.call_id && to_tag == tag;
        }
    }

    fn answered(&mut self, response: &Response<'_>) {
        if response.status.is_provisional() {
            return;
        }
        let branch = response.via.params.value("branch").unwrap_or_default().to_owned();
        let key = (branch, response.cseq.method.as_str().to_owned());
        let call = (response.call_id.to_owned(), response.cseq.number);
        let Some(sent) = self.sent.get_mut(&key).filter(|sent| sent.call == call) else { return };
        // Behind a failure a 2xx of the same transaction is nobody's (RFC 6026 §7.2): proxies that forget make such.
        let failed = sent.failed;
        sent.answered = true;
        sent.failed |= !response.status.is_success();
        if response.status.is_success() && response.cseq.method == Method::Invite && !failed {
            let tag = response.to.tag().unwrap_or_default().to_owned();
            self.accepted.entry((call.0, call.1, tag)).or_insert(false);
        }
    }

    /// Nothing is left to happen.
    pub(crate) fn at_quiet(&self) -> Result<(), Violation> {
        if let Some((key, came)) = self.came.iter().find(|(_, came)| came.answer.is_none()) {
            return wrong(format!("a request was never answered: {key:?}\n{}", came.what));
        }
        if let Some((key, _)) = self.accepted.iter().find(|(_, acknowledged)| !**acknowledged) {
            return wrong(format!("a 2xx to INVITE was never acknowledged: {key:?}"));
        }
        Ok(())
    }
}

impl Sent {
    /// It is sent again.
    fn check_again(&mut self, now: Tick, method: Method<'_>, bytes: &[u8]) -> Result<(), Violation> {
        let text = || String::from_utf8_lossy(bytes).into_owned();
        if self.bytes != bytes {
            return wrong(format!(
                "a request changes when it is sent again:\n{}\n{}",
                String::from_utf8_lossy(&self.bytes),
                text()
            ));
        }
        if self.answered {
            return wrong(format!("a request is sent again after its answer:\n{}", text()));
        }
        let doubled = T1 * 2u32.pow((self.times - 1).min(8));
        let wanted = if method == Method::Invite { doubled } else { doubled.min(T2) };
        if self.by_datagram && now.since(self.last) + SLACK < wanted {
            return wrong(format!(
                "a request is sent again after {:?} instead of {wanted:?}:\n{}",
                now.since(self.last),
                text()
            ));
        }
        self.times += 1;
        self.last = now;
        if self.times > MOST_SENT {
            return wrong(format!("a request is sent {} times:\n{}", self.times, text()));
        }
        Ok(())
    }
}

fn via_line(bytes: &[u8]) -> Option<Vec<u8>> {
    bytes.split(|byte| *byte == b'\n').find(|line| line.starts_with(b"Via:")).map(<[u8]>::to_vec)
}

/// Whether this is a refusal of what had this Via.
fn is_refusal(bytes: &[u8], via: &[u8]) -> bool {
    let branch = |line: &[u8]| String::from_utf8_lossy(line).split("branch=").nth(1).map(str::to_owned);
    let same = |own: Vec<u8>| {
        let clean = |text: String| text.split([';', '\r']).next().unwrap_or_default().to_owned();
        branch(&own).map(clean) == branch(via).map(clean)
    };
    let refused = bytes.starts_with(b"SIP/2.0 4") || bytes.starts_with(b"SIP/2.0 5");
    refused && via_line(bytes).is_some_and(same)
}

/// The status line. The rest is copied from a request that may have been spoilt on its way.
fn start(bytes: &[u8]) -> Option<&[u8]> {
    bytes.split(|byte| *byte == b'\r').next()
}

fn served(via: &str, method: Method<'_>, cseq: u32) -> Served {
    // What the controller adds to the Via that it sends back (RFC 3581 §4, §18.2.1).
    let plain: Vec<&str> = via
        .split(';')
        .filter(|parameter| {
            let parameter = parameter.trim_start().to_ascii_lowercase();
            !parameter.starts_with("received") && !parameter.starts_with("rport")
        })
        .collect();
    (plain.join(";"), method.as_str().to_owned(), cseq.to_string())
}
