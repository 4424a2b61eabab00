//! Any sequence of inputs: no panic, bounded memory, and nothing left at the end.

use proptest::prelude::*;

use super::*;

const METHODS: [Method<'static>; 6] =
    [Method::Invite, Method::Ack, Method::Bye, Method::Cancel, Method::Notify, Method::Options];
const STATUSES: [Status; 7] = [
    Status::TRYING,
    Status::RINGING,
    Status::OK,
    Status::MOVED_TEMPORARILY,
    Status::REQUEST_TIMEOUT,
    Status::BUSY_HERE,
    Status::DECLINE,
];

#[derive(Clone, Debug)]
enum Act {
    Request(usize),
    Cancel(usize),
    /// The answer to any request or ACK or CANCEL that was sent.
    Answer(usize, usize),
    /// The same with the method in CSeq changed.
    Misanswer(usize, usize),
    Receive(usize, u32),
    Hold(usize),
    Respond(usize, usize),
    RespondPlain(usize, usize),
    RespondHeld(usize, usize),
    Relay(usize, usize),
    Acknowledged(usize),
    Unreachable,
    Pass(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let which = 0usize..12;
    let status = 0..STATUSES.len();
    prop_oneof![
        (0..METHODS.len()).prop_map(Act::Request),
        which.clone().prop_map(Act::Cancel),
        (which.clone(), status.clone()).prop_map(|(which, status)| Act::Answer(which, status)),
        (which.clone(), status.clone()).prop_map(|(which, status)| Act::Misanswer(which, status)),
        ((0..METHODS.len()), 1u32..4).prop_map(|(method, number)| Act::Receive(method, number)),
        which.clone().prop_map(Act::Hold),
        (which.clone(), status.clone()).prop_map(|(which, status)| Act::Respond(which, status)),
        (which.clone(), status.clone()).prop_map(|(which, status)| Act::RespondPlain(which, status)),
        (which.clone(), status.clone()).prop_map(|(which, status)| Act::RespondHeld(which, status)),
        (which.clone(), status).prop_map(|(which, status)| Act::Relay(which, status)),
        which.prop_map(Act::Acknowledged),
        Just(Act::Unreachable),
        prop_oneof![0u64..1_000, 0u64..40_000].prop_map(Act::Pass),
    ]
}

struct Run {
    party: Party,
    clients: Vec<Key<Client>>,
    /// Requests that were sent, those of the transactions themselves too.
    sent: Vec<Vec<u8>>,
    servers: Vec<(Key<Server>, Vec<u8>)>,
}

impl Run {
    fn act(&mut self, act: Act) {
        match act {
            Act::Request(method) => {
                let key = self.party.request(METHODS[method]);
                self.clients.push(key);
            }
            Act::Cancel(which) => {
                if let Some(key) = self.clients.get(which) {
                    self.party.cancel(*key, Some("SIP;cause=200"));
                }
            }
            Act::Answer(which, status) => self.answer(which, status, |text| text),
            Act::Misanswer(which, status) => {
                self.answer(which, status, |text| text.replace("CSeq: 1 INVITE", "CSeq: 1 CANCEL"));
            }
            Act::Receive(method, number) => {
                let bytes = request(METHODS[method], &format!("z9hG4bK{number}"), number);
                match self.party.receive(&bytes) {
                    Incoming::New(key) | Incoming::Merged(key) | Incoming::Cancel { server: key, .. } => {
                        self.servers.push((key, bytes));
                    }
                    _ => {}
                }
            }
            Act::Unreachable => {
                self.party.unreachable(5070);
            }
            Act::Pass(millis) => drop(self.party.pass(Duration::from_millis(millis))),
            Act::Hold(which)
            | Act::Respond(which, _)
            | Act::RespondPlain(which, _)
            | Act::RespondHeld(which, _)
            | Act::Relay(which, _)
            | Act::Acknowledged(which) => self.serve(which, act),
        }
        let sent = self.party.sent();
        assert!(sent.iter().all(|bytes| parse(bytes).is_ok()), "only sound messages leave");
        self.sent.extend(sent.into_iter().filter(|bytes| !bytes.starts_with(b"SIP/2.0")));
    }

    fn answer(&mut self, which: usize, status: usize, change: impl FnOnce(String) -> String) {
        if let Some(bytes) = self.sent.get(which) {
            let answer = change(text(&answer(bytes, STATUSES[status])));
            self.party.response(answer.as_bytes());
        }
    }

    fn serve(&mut self, which: usize, act: Act) {
        let Some((key, bytes)) = self.servers.get(which).cloned() else { return };
        let (now, party) = (self.party.now, &mut self.party);
        match act {
            Act::Hold(_) => party.transactions.hold(key, &read(&bytes)),
            Act::Respond(_, status) => drop(party.respond(key, &bytes, STATUSES[status])),
            Act::RespondPlain(_, status) => drop(party.respond_plain(key, &bytes, STATUSES[status])),
            Act::RespondHeld(_, status) => {
                let reply = Reply { status: STATUSES[status], to_tag: None };
                party.transactions.respond_held(now, key, reply, &mut party.outbox, |writer| writer.end());
            }
            Act::Relay(_, status) => {
                let write = |out: &mut Vec<u8>| out.extend(answer(&bytes, STATUSES[status]));
                party.transactions.relay(now, key, STATUSES[status], &mut party.outbox, write);
            }
            _ => party.transactions.acknowledged(now, key),
        }
    }

    /// The users end what only they can end: INVITEs that ring on either side.
    fn finish(mut self) {
        for (key, bytes) in std::mem::take(&mut self.servers) {
            self.party.respond(key, &bytes, Status::DECLINE);
        }
        for key in std::mem::take(&mut self.clients) {
            self.party.cancel(key, None);
        }
        self.party.sent();
        self.party.ends_empty();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_sequence_of_inputs_ends_empty(acts in prop::collection::vec(act(), 1..60)) {
        let run = Run { party: Party::new(5060), clients: Vec::new(), sent: Vec::new(), servers: Vec::new() };
        let run = acts.into_iter().fold(run, |mut run, act| { run.act(act); run });
        run.finish();
    }
}
