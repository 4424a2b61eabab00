//! Whether the peer is still there: session timers (RFC 4028), or OPTIONS where it has none.

use super::{Body, Inside, Leg, Purpose};
use crate::Tick;
use crate::call::stack::Stack;
use crate::sip::message::{Method, Name, Response, Writer};
use crate::sip::screen::Usage;
use crate::sip::session_timer::{TIMER, Watch, allows_update, raised};

impl Leg {
    /// The header lines that ask for session timers, with other extensions that the request offers.
    pub(super) fn write_timer(&self, extensions: &str, writer: &mut Writer<'_>) {
        if self.interval == 0 || self.usage != Usage::Bridge {
            if !extensions.is_empty() {
                writer.field(Name::Supported, extensions);
            }
            return;
        }
        match extensions {
            "" => writer.field(Name::Supported, TIMER),
            more => writer.field_parts(Name::Supported, &[more, ", ", TIMER]),
        };
        writer.number(Name::SessionExpires, self.interval).number(Name::MinSe, self.least_interval);
    }

    /// A 422 asks for a longer interval; whether it is one that can be asked for.
    pub(super) fn raise_interval(&mut self, response: &Response<'_>) -> bool {
        let raised = raised(self.interval, response).filter(|_| self.interval > 0);
        if let Some(least) = raised {
            // From then on no shorter one is to be agreed on along this way (RFC 4028 §7.3, §7.4).
            (self.interval, self.least_interval) = (least, least);
        }
        raised.is_some()
    }

    /// The session begins anew with a 2xx of the peer's.
    pub(super) fn refreshed(&mut self, now: Tick, response: &Response<'_>) {
        self.takes_update = allows_update(response).unwrap_or(self.takes_update);
        if self.usage == Usage::Bridge && self.interval > 0 {
            self.watch = Watch::after_2xx(now, self.interval, response);
        }
    }

    /// Refreshes the session, or asks the peer whether it is there.
    pub(crate) fn look_after(&mut self, stack: &mut Stack<'_>) {
        let watch = self.watch;
        self.watch = watch.again(stack.now);
        let ours = |outstanding: &super::pending::Outstanding| {
            matches!(outstanding.request.purpose, Purpose::Refresh | Purpose::Ping)
        };
        if self.outstanding().any(ours) {
            return;
        }
        match watch {
            Watch::Refresh { .. } if self.takes_update => self.refresh(Method::Update, stack),
            // What runs already refreshes the session too.
            Watch::Refresh { .. } if self.is_negotiating() => {}
            Watch::Refresh { .. } => self.refresh(Method::Invite, stack),
            Watch::Ping { .. } => {
                let purpose = Purpose::Ping;
                let request = Inside { method: Method::Options, lines: Vec::new(), body: None, purpose };
                self.request(request, stack);
            }
            Watch::Off | Watch::Expect(_) => {}
        }
    }

    fn refresh(&mut self, method: Method<'static>, stack: &mut Stack<'_>) {
        let body = (method == Method::Invite).then(|| Body::sdp(self.agreed().clone()));
        let request = Inside { method, lines: Vec::new(), body, purpose: Purpose::Refresh };
        self.request(request, stack);
    }

    /// The peer takes no UPDATE after all.
    pub(crate) fn takes_no_update(&mut self) {
        self.takes_update = false;
    }
}
