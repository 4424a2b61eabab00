//! What the real phones have in common: each shows what it was told, and whether its audio flows.

use crate::baresip::{Answer, Baresip};
use crate::kamailio::Kamailio;
use crate::linphone::Linphone;

/// Which program a phone is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`Baresip`].
    Baresip,
    /// [`Linphone`].
    Linphone,
}

impl Kind {
    /// Starts such a phone of this user, which picks up by itself.
    pub fn start(self, proxy: &Kamailio, user: &str) -> Box<dyn Phone> {
        match self {
            Kind::Baresip => Box::new(Baresip::start(proxy, user, Answer::Auto)),
            Kind::Linphone => Box::new(Linphone::start(proxy, user)),
        }
    }
}

/// A real phone in calls that the controller stays in.
pub trait Phone {
    /// What it has written so far, with all its SIP messages.
    fn log(&self) -> String;

    /// Waits until its audio goes to this port and comes from there, by its own counters.
    fn wait_talking_to(&self, port: u16);

    /// Waits until it is in no call any more.
    fn wait_hung_up(&self);

    /// Hangs up its call.
    fn hang_up(&mut self);

    /// The port that it wants its audio at, as its last description says.
    fn media(&self) -> u16 {
        let all = descriptions(&self.log());
        let own = all.iter().rev().find(|description| !description.is_the_controllers());
        own.and_then(Description::port).expect("the phone has described its media")
    }

    /// The last description that the controller has sent it.
    fn told(&self) -> Description {
        let all = descriptions(&self.log());
        all.into_iter()
            .rev()
            .find(Description::is_the_controllers)
            .expect("the phone was told where to talk to")
    }
}

/// A session description (RFC 8866).
#[derive(Clone, Debug)]
pub struct Description(String);

/// All descriptions in a log, oldest first.
fn descriptions(log: &str) -> Vec<Description> {
    let is_line = |line: &&str| {
        line.as_bytes().first().is_some_and(u8::is_ascii_lowercase) && line.as_bytes().get(1) == Some(&b'=')
    };
    let starts = log.match_indices("\nv=0").map(|(at, _)| at + 1);
    let texts = starts.map(|at| log[at..].lines().take_while(is_line).collect::<Vec<_>>().join("\n"));
    texts.map(Description).collect()
}

impl Description {
    fn is_the_controllers(&self) -> bool {
        self.0.contains("\no=cordboard ")
    }

    fn port(&self) -> Option<u16> {
        self.0.split("\nm=audio ").nth(1)?.split(' ').next()?.parse().ok()
    }

    /// Panics unless it says: talk, in both directions, to this port on 127.0.0.1.
    #[track_caller]
    pub fn assert_talk_to(&self, port: u16) {
        assert_eq!(self.port(), Some(port), "{self:?}");
        assert!(self.0.contains("\nc=IN IP4 127.0.0.1"), "{self:?}");
        for direction in ["a=sendonly", "a=recvonly", "a=inactive"] {
            assert!(!self.0.contains(direction), "{self:?}");
        }
    }
}
