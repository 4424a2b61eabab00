//! Keys whose value is one of a few words.

use super::value::Text;

/// Makes an enum whose variants are words in the configuration.
macro_rules! choice {
    ($(#[$about:meta])* $name:ident, $right:literal { $($(#[$what:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$what])* $variant,)+
        }

        impl $name {
            /// The word for it in the configuration.
            pub const fn word(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)+
                }
            }
        }

        impl Text for $name {
            const RIGHT: &'static str = $right;

            fn read(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok($name::$variant),)+
                    _ => Err("is none of the choices".to_owned()),
                }
            }

            fn text(&self) -> String {
                self.word().to_owned()
            }
        }
    };
}

choice! {
    /// A transport of SIP.
    SipTransport, "udp, tcp or tls" {
        /// Datagrams.
        Udp = "udp",
        /// TCP.
        Tcp = "tcp",
        /// TLS over TCP.
        Tls = "tls",
    }
}

choice! {
    /// Whether who connects by TLS has to show a certificate.
    ClientCertificates, "\"none\", \"optional\" or \"required\"" {
        /// None is asked for.
        None = "none",
        /// One is asked for, and checked if it comes.
        Optional = "optional",
        /// Without a good one there is no session.
        Required = "required",
    }
}

choice! {
    /// Which server's extensions are used.
    Dialect, "\"generic\" or \"sipx\"" {
        /// Nothing but the RFCs.
        Generic = "generic",
        /// sipXecs and sipXcom: URI parameters that switch forwarding off.
        Sipx = "sipx",
    }
}

choice! {
    /// A first offer that carries no media.
    HoldSdp, "\"sendonly\", \"blackhole\", \"inactive\" or \"nomedia\"" {
        /// `a=sendonly` with our address.
        Sendonly = "sendonly",
        /// `c=0.0.0.0` without a direction.
        Blackhole = "blackhole",
        /// `a=inactive`.
        Inactive = "inactive",
        /// No m= line, as RFC 3725 draws it.
        Nomedia = "nomedia",
    }
}

choice! {
    /// Whom the called phone sees as the caller.
    Identity, "\"agent\" or \"party\"" {
        /// The agent.
        Agent = "agent",
        /// The other party of the call.
        Party = "party",
    }
}

choice! {
    /// When a referred phone is let go.
    ReferHangup, "\"final\" or \"ringing\"" {
        /// When the outcome is final.
        Final = "final",
        /// When the called party rings.
        Ringing = "ringing",
    }
}

choice! {
    /// What becomes of a call whose phone refuses REFER.
    ReferFallback, "\"none\" or \"invite\"" {
        /// It ends.
        None = "none",
        /// It goes on as an INVITE call.
        Invite = "invite",
    }
}
