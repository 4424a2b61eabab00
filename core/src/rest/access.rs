//! Who may do what (SPEC 2): the principal is the agent, or may act for it.

use std::sync::Arc;

use super::Error;
use crate::call::order::{Agent, Party};
use crate::users::{Directory, User};

/// Who a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A trusted host over HTTPS: it may act for every user there is.
    Trusted,
    /// A user who has logged in.
    User(String),
}

impl Caller {
    /// The agent of this user name or alias, if the caller may act for it.
    pub(super) fn agent<'u>(&self, name: &str, users: &'u Directory) -> Result<&'u User, Error> {
        // A user part with our domain names the same user.
        let found = users.get_any(name);
        match (self, found) {
            (Caller::Trusted, Some(user)) => Ok(user),
            (Caller::Trusted, None) => Err(Error::UnknownAgent(name.to_owned())),
            (Caller::User(principal), Some(user)) if users.may_act(principal, user.name()) => Ok(user),
            // Whether that agent exists is nothing that everybody may find out.
            (Caller::User(_), _) => Err(Error::NotYourAgent),
        }
    }

    /// Whether calls of this agent are the caller's business.
    pub(crate) fn may_see(&self, agent: &str, users: &Directory) -> bool {
        match self {
            Caller::Trusted => true,
            Caller::User(principal) => users.may_act(principal, agent),
        }
    }
}

/// The agent as calls know it.
pub(super) fn agent(user: &User, domain: &str) -> Result<Agent, Error> {
    let party = Party::new(user.name(), domain).map_err(|fault| Error::BadUser("agent", fault))?;
    Ok(Agent {
        name: Arc::from(user.name()),
        display: user.display_name().into(),
        party,
        credentials: user.sip().cloned().map(Arc::new),
    })
}
