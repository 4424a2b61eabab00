//! Two elements with a network between them that loses, delays and doubles datagrams.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What a seed makes of the network: reproducible, and independent of the elements' own randomness.
struct Network {
    random: Random,
    loss_percent: u32,
    /// By arrival; the number keeps those of one time apart.
    underway: BTreeMap<(Tick, u64), (u16, Vec<u8>)>,
    count: u64,
}

impl Network {
    fn take(&mut self, from: &mut Party) {
        let to = if from.port == 5060 { 5070 } else { 5060 };
        for bytes in from.sent() {
            let copies = 1 + u32::from(self.random.below(100) < 5);
            for _ in 0..copies {
                if self.random.below(100) >= self.loss_percent {
                    let delay = Duration::from_millis(u64::from(self.random.below(150)));
                    self.count += 1;
                    self.underway.insert((from.now + delay, self.count), (to, bytes.clone()));
                }
            }
        }
    }
}

/// The INVITE that is never answered but when it is cancelled.
const RINGS_ON: u32 = 8;

/// What was told about one request.
#[derive(Debug, Default)]
struct Story {
    finals: u32,
    successes: u32,
    timeouts: u32,
    /// How often the peer's user has seen it as new.
    seen: u32,
    acknowledged: bool,
    given_up: bool,
}

struct World {
    caller: Party,
    called: Party,
    network: Network,
    /// By CSeq number.
    stories: BTreeMap<u32, Story>,
    invites: BTreeMap<u32, Key<Server>>,
    calling: Vec<Key<Client>>,
}

impl World {
    fn new(seed: u8, loss_percent: u32) -> Self {
        let random = Random::new(&Seed([seed; 32]), Consumer::Calls);
        let network = Network { random, loss_percent, underway: BTreeMap::new(), count: 0 };
        let (caller, called) = (Party::new(5060), Party::new(5070));
        Self {
            caller,
            called,
            network,
            stories: BTreeMap::new(),
            invites: BTreeMap::new(),
            calling: Vec::new(),
        }
    }

    fn start(&mut self, number: u32, method: Method<'static>) {
        let (caller, owner) = (&mut self.caller, Owner(number.into()));
        let write = |out: &mut Vec<u8>, branch: &str| write_request(out, method, 5060, branch, number);
        let key =
            caller.transactions.request(caller.now, method, flow_to(5070), owner, &mut caller.outbox, write);
        self.calling.push(key);
        self.stories.insert(number, Story::default());
    }

    fn run(&mut self) {
        loop {
            self.network.take(&mut self.caller);
            self.network.take(&mut self.called);
            let arrival = self.network.underway.first_key_value().map(|(at, _)| at.0);
            let next = [arrival, self.caller.transactions.next(), self.called.transactions.next()];
            let Some(now) = next.into_iter().flatten().min() else {
                if self.lose_patience() { continue } else { return }
            };
            let now = now.max(self.caller.now);
            (self.caller.now, self.called.now) = (now, now);
            for party in [&mut self.caller, &mut self.called] {
                while party.transactions.timeout(now, &mut party.outbox, &mut party.events) {}
            }
            self.told();
            while let Some(entry) = self.network.underway.first_entry().filter(|entry| entry.key().0 <= now) {
                match entry.remove() {
                    (5060, bytes) => self.at_caller(&bytes),
                    (_, bytes) => self.at_called(&bytes),
                }
            }
        }
    }

    /// What only users can end: the caller cancels what still rings, and then who is called refuses it.
    fn lose_patience(&mut self) -> bool {
        let caller = &mut self.caller;
        let cancelled = std::mem::take(&mut self.calling).into_iter().filter(|key| {
            let (now, outbox) = (caller.now, &mut caller.outbox);
            caller.transactions.cancel(now, *key, None, outbox) != Cancelled::TooLate
        });
        if cancelled.count() > 0 {
            return true;
        }
        let called = &mut self.called;
        let reply = Reply { status: Status::TEMPORARILY_UNAVAILABLE, to_tag: None };
        let refused = self.invites.values().filter(|key| {
            called
                .transactions
                .respond_held(called.now, **key, reply, &mut called.outbox, |writer| writer.end())
        });
        refused.count() > 0
    }

    fn told(&mut self) {
        for event in self.caller.events() {
            let TransactionEvent::TimedOut { owner, .. } = event else { panic!("{event:?}") };
            self.stories.get_mut(&(owner.0 as u32)).unwrap().timeouts += 1;
        }
        for event in self.called.events() {
            let (TransactionEvent::NoAck { owner, .. } | TransactionEvent::ServerTimedOut { owner, .. }) =
                event
            else {
                panic!("{event:?}")
            };
            self.stories.get_mut(&(owner.unwrap().0 as u32)).unwrap().given_up = true;
        }
    }

    fn at_caller(&mut self, bytes: &[u8]) {
        let Some(event) = self.caller.response(bytes).filter(|event| event.owner != Owner::NOBODY) else {
            return;
        };
        let story = self.stories.get_mut(&(event.owner.0 as u32)).unwrap();
        match event.kind {
            ResponseKind::Provisional => {}
            ResponseKind::Final => story.finals += 1,
            ResponseKind::Success2xx => {
                story.successes += 1;
                let branch = self.caller.transactions.fresh_branch();
                let (number, now, outbox) = (event.owner.0 as u32, self.caller.now, &mut self.caller.outbox);
                self.caller.transactions.send(now, flow_to(5070), outbox, |out| {
                    write_request(out, Method::Ack, 5060, branch.as_str(), number);
                });
            }
        }
    }

    fn at_called(&mut self, bytes: &[u8]) {
        let request = read(bytes);
        let (number, method) = (request.cseq.number, request.method);
        let party = &mut self.called;
        match party.transactions.receive(party.now, &request, flow_to(5060), &mut party.outbox) {
            Incoming::New(key) => {
                self.stories.get_mut(&number).unwrap().seen += 1;
                party.transactions.own(key, Owner(number.into()));
                let status = if number % 3 == 0 { Status::BUSY_HERE } else { Status::OK };
                if method == Method::Invite {
                    party.transactions.hold(key, &request);
                    party.respond(key, bytes, Status::RINGING);
                    if number != RINGS_ON {
                        party.respond(key, bytes, status);
                    }
                    self.invites.insert(number, key);
                } else {
                    party.respond_plain(key, bytes, status);
                }
            }
            Incoming::Ack { .. } => {
                self.stories.get_mut(&number).unwrap().acknowledged = true;
                party.transactions.acknowledged(party.now, self.invites[&number]);
            }
            Incoming::Acknowledged => self.stories.get_mut(&number).unwrap().acknowledged = true,
            Incoming::Cancel { server, invite } => {
                let status = if invite.is_some() { Status::OK } else { Status::NO_SUCH_DIALOG };
                party.respond_plain(server, bytes, status);
                let reply = Reply { status: Status::REQUEST_TERMINATED, to_tag: None };
                let (now, outbox) = (party.now, &mut party.outbox);
                if let Some(invite) = invite {
                    party.transactions.respond_held(now, invite, reply, outbox, |writer| writer.end());
                }
            }
            Incoming::Retransmission => {}
            other => panic!("{other:?}"),
        }
    }
}

fn play(seed: u8, loss_percent: u32) -> World {
    let mut world = World::new(seed, loss_percent);
    for number in 1..=12 {
        world
            .start(number, [Method::Invite, Method::Notify, Method::Bye, Method::Refer][number as usize % 4]);
    }
    world.run();
    assert_eq!(world.caller.transactions.census(), Census::default());
    assert_eq!(world.called.transactions.census(), Census::default());
    world
}

#[test]
fn without_loss_every_request_has_its_answer_and_every_failure_and_2xx_its_ack() {
    let world = play(1, 0);
    for (number, story) in &world.stories {
        assert_eq!((story.seen, story.timeouts, story.given_up), (1, 0, false), "{number}: {story:?}");
        let success = *number == 4;
        assert_eq!(
            (story.finals, story.successes >= 1),
            (u32::from(!success), success),
            "{number}: {story:?}"
        );
        assert_eq!(story.acknowledged, number % 4 == 0, "{number}: {story:?}");
    }
}

#[test]
fn when_all_is_lost_every_request_times_out_once() {
    let world = play(2, 100);
    for story in world.stories.values() {
        assert_eq!((story.timeouts, story.finals, story.successes, story.seen), (1, 0, 0, 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn with_loss_every_request_still_has_one_outcome_and_is_seen_once(seed: u8, loss in 0u32..70) {
        let world = play(seed, loss);
        for (number, story) in &world.stories {
            let outcomes = story.finals + story.timeouts + story.successes.min(1);
            prop_assert_eq!(outcomes, 1, "{}: {:?}", number, story);
            prop_assert!(story.seen <= 1, "{}: {:?}", number, story);
            prop_assert!(story.seen == 1 || story.timeouts == 1, "{}: {:?}", number, story);
            if number % 4 == 0 && story.seen == 1 {
                prop_assert!(story.acknowledged || story.given_up, "{}: {:?}", number, story);
            }
        }
    }
}
