//! Methods (RFC 3261 §7.1 and the RFCs of the extensions).

/// A request method. Case matters: `invite` is an unknown method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "their names say it")]
pub enum Method<'a> {
    Invite,
    Ack,
    Bye,
    Cancel,
    Options,
    Register,
    Refer,
    Notify,
    Subscribe,
    Info,
    Update,
    Prack,
    Message,
    Publish,
    /// Any other token.
    Other(&'a str),
}

impl<'a> Method<'a> {
    /// The method of this token.
    pub fn of(token: &'a str) -> Self {
        match token {
            "INVITE" => Method::Invite,
            "ACK" => Method::Ack,
            "BYE" => Method::Bye,
            "CANCEL" => Method::Cancel,
            "OPTIONS" => Method::Options,
            "REGISTER" => Method::Register,
            "REFER" => Method::Refer,
            "NOTIFY" => Method::Notify,
            "SUBSCRIBE" => Method::Subscribe,
            "INFO" => Method::Info,
            "UPDATE" => Method::Update,
            "PRACK" => Method::Prack,
            "MESSAGE" => Method::Message,
            "PUBLISH" => Method::Publish,
            other => Method::Other(other),
        }
    }

    /// The token.
    pub fn as_str(self) -> &'a str {
        match self {
            Method::Invite => "INVITE",
            Method::Ack => "ACK",
            Method::Bye => "BYE",
            Method::Cancel => "CANCEL",
            Method::Options => "OPTIONS",
            Method::Register => "REGISTER",
            Method::Refer => "REFER",
            Method::Notify => "NOTIFY",
            Method::Subscribe => "SUBSCRIBE",
            Method::Info => "INFO",
            Method::Update => "UPDATE",
            Method::Prack => "PRACK",
            Method::Message => "MESSAGE",
            Method::Publish => "PUBLISH",
            Method::Other(token) => token,
        }
    }

    /// The method without a borrow, for a table entry that outlives the message; `None` for one that we do not know.
    pub fn known(self) -> Option<Method<'static>> {
        match self {
            Method::Invite => Some(Method::Invite),
            Method::Ack => Some(Method::Ack),
            Method::Bye => Some(Method::Bye),
            Method::Cancel => Some(Method::Cancel),
            Method::Options => Some(Method::Options),
            Method::Register => Some(Method::Register),
            Method::Refer => Some(Method::Refer),
            Method::Notify => Some(Method::Notify),
            Method::Subscribe => Some(Method::Subscribe),
            Method::Info => Some(Method::Info),
            Method::Update => Some(Method::Update),
            Method::Prack => Some(Method::Prack),
            Method::Message => Some(Method::Message),
            Method::Publish => Some(Method::Publish),
            Method::Other(_) => None,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The methods that have a name of their own here.
    pub(in super::super) const KNOWN: [&str; 14] = [
        "INVITE",
        "ACK",
        "BYE",
        "CANCEL",
        "OPTIONS",
        "REGISTER",
        "REFER",
        "NOTIFY",
        "SUBSCRIBE",
        "INFO",
        "UPDATE",
        "PRACK",
        "MESSAGE",
        "PUBLISH",
    ];

    #[test]
    fn every_method_that_is_known_is_read_as_itself_and_outlives_its_message() {
        for name in KNOWN {
            let method = Method::of(name).known().unwrap_or_else(|| panic!("{name}"));
            assert_eq!(method.as_str(), name);
        }
        for other in ["invite", "JUMP"] {
            let method = Method::of(other);
            assert_eq!((method.as_str(), method.known()), (other, None), "methods are told apart by case");
        }
    }
}
