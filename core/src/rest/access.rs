//! Who may place, see and end whose calls: the principal is the agent, or may act for it.

use std::sync::Arc;

use super::error::Error;
use super::names::Names;
use crate::call::order::{Agent, Party};
use crate::users::{Directory, User};

/// Who a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A trusted host over HTTPS: it may act for every user there is, but not for others.
    Trusted,
    /// The user of this name has logged in.
    User(Arc<str>),
}

impl Caller {
    /// Whether the caller may see and end the calls of this agent.
    pub(crate) fn may_see(&self, agent: &str, directory: &Directory) -> bool {
        match self {
            Caller::Trusted => true,
            Caller::User(principal) => directory.may_act(principal, agent),
        }
    }

    /// The agent of a call to be placed: the one named, or else the calling user, given as written and as the party that
    /// this means.
    pub(super) fn placing(
        &self,
        named: Option<&str>,
        (written, calling): (&str, &Party),
        names: Names<'_>,
    ) -> Result<Agent, Error> {
        let user = self.user(named.unwrap_or(written), names)?;
        let party = match named {
            Some(_) => names.party("agent", user.name())?,
            None => calling.clone(),
        };
        Ok(Agent {
            name: user.agent(),
            display: user.display_name().into(),
            party,
            credentials: user.credentials(),
        })
    }

    /// The agent's name of a call to be shown or ended: for whoever has logged in their own; for a trusted
    /// host the one named, or else the calling user.
    pub(super) fn asking(
        &self,
        named: Option<&str>,
        calling: &Party,
        names: Names<'_>,
    ) -> Result<Arc<str>, Error> {
        match (self, named) {
            (Caller::User(principal), _) => Ok(principal.clone()),
            (Caller::Trusted, Some(text)) => Ok(self.user(text, names)?.agent()),
            // Somebody who is no user has placed no call: this name then finds none.
            (Caller::Trusted, None) => {
                Ok(names.user(calling.text()).map_or_else(|| calling.text().into(), User::agent))
            }
        }
    }

    /// The user of this name, if the caller may act for it.
    fn user<'d>(&self, text: &str, names: Names<'d>) -> Result<&'d User, Error> {
        let found = names.user(text);
        if found.is_none() {
            // Only what could be a name is repeated in an answer.
            names.party("agent", text)?;
        }
        match (self, found) {
            (Caller::Trusted, Some(user)) => Ok(user),
            (Caller::Trusted, None) => Err(Error::UnknownAgent(text.to_owned())),
            (Caller::User(principal), Some(user)) if names.directory.may_act(principal, user.name()) => {
                Ok(user)
            }
            // The same whether that agent exists or not: that is nothing for everybody to find out.
            (Caller::User(principal), _) => {
                Err(Error::NotYourAgent { principal: principal.to_string(), agent: text.to_owned() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> Directory {
        let one = User::new("user1", "r", "1").with_aliases(vec!["201".to_owned()]).with_display_name("One");
        let two = User::new("user2", "r", "1").with_sip_password("u2", "sip", "x");
        let desk = User::new("desk", "r", "1").with_may_act_for(vec!["user1".to_owned()]);
        let robot = User::new("robot", "r", "1").with_may_act_for(vec!["*".to_owned()]);
        Directory::new(vec![one, two, desk, robot], "r").unwrap()
    }

    fn caller(name: &str) -> Caller {
        if name == "trusted" { Caller::Trusted } else { Caller::User(name.into()) }
    }

    #[test]
    fn calls_are_placed_only_for_agents_that_the_caller_may_act_for() {
        let directory = directory();
        let names = Names { directory: &directory, domain: "example.com" };
        for (who, named, calling, result) in [
            ("trusted", None, "201", Ok("user1")),
            ("trusted", Some("user2"), "0123", Ok("user2")),
            ("trusted", None, "0123", Err(403)),
            ("trusted", Some("nobody"), "user1", Err(403)),
            ("trusted", Some("user1@elsewhere.org"), "user1", Err(403)),
            ("trusted", Some("a b"), "user1", Err(400)),
            ("user1", None, "user1", Ok("user1")),
            ("user1", Some("201@example.com"), "0123", Ok("user1")),
            ("user1", None, "user2", Err(403)),
            ("user1", None, "0123", Err(403)),
            ("user1", Some("user2"), "user1", Err(403)),
            ("user1", Some("nobody"), "user1", Err(403)),
            ("desk", None, "user1", Ok("user1")),
            ("desk", Some("user2"), "user1", Err(403)),
            ("robot", Some("user2"), "user1", Ok("user2")),
            ("robot", Some("nobody"), "user1", Err(403)),
        ] {
            let party = names.party("callingUser", calling).unwrap();
            let found = caller(who).placing(named, (calling, &party), names);
            let found = found.as_ref().map(|agent| &*agent.name).map_err(Error::status);
            assert_eq!(found, result, "{who} {named:?} {calling}");
        }
    }

    #[test]
    fn an_agent_comes_with_what_the_call_needs_of_it() {
        let directory = directory();
        let names = Names { directory: &directory, domain: "example.com" };
        let placing = |calling| {
            let party = names.party("callingUser", calling).unwrap();
            Caller::Trusted.placing(None, (calling, &party), names).unwrap()
        };
        let one = placing("201");
        assert_eq!((&*one.display, one.party.text(), one.credentials), ("One", "user1@example.com", None));
        let two = placing("user2");
        assert_eq!(two.credentials.map(|credentials| credentials.username.clone()).as_deref(), Some("u2"));
    }

    #[test]
    fn whoever_has_logged_in_asks_for_their_own_calls_and_a_trusted_host_says_whose() {
        let directory = directory();
        let names = Names { directory: &directory, domain: "example.com" };
        for (who, named, calling, result) in [
            ("user2", None, "user1", Ok("user2")),
            ("user2", Some("user1"), "user1", Ok("user2")),
            ("trusted", None, "201", Ok("user1")),
            ("trusted", None, "0123", Ok("0123@example.com")),
            ("trusted", Some("user2@Example.com"), "201", Ok("user2")),
            ("trusted", Some("nobody"), "201", Err(403)),
        ] {
            let calling = names.party("callingUser", calling).unwrap();
            let found = caller(who).asking(named, &calling, names);
            assert_eq!(found.as_deref().map_err(Error::status), result, "{who} {named:?} {}", calling.text());
        }
    }

    #[test]
    fn the_calls_of_others_are_not_to_be_seen() {
        let directory = directory();
        for (who, agent, may) in [
            ("trusted", "user1", true),
            ("user1", "user1", true),
            ("user1", "user2", false),
            ("desk", "user1", true),
            ("desk", "user2", false),
            ("robot", "user2", true),
            ("gone", "user1", false),
        ] {
            assert_eq!(caller(who).may_see(agent, &directory), may, "{who} {agent}");
        }
    }

    #[test]
    fn whether_an_agent_exists_is_not_told_to_those_who_may_not_act_for_it() {
        let directory = directory();
        let names = Names { directory: &directory, domain: "example.com" };
        let said = |agent: &str| {
            let party = names.party("callingUser", "user1").unwrap();
            let error = caller("user1").placing(Some(agent), ("user1", &party), names).unwrap_err();
            error.to_string().replace(agent, "?")
        };
        assert_eq!(said("user2"), said("nobody"));
    }
}
