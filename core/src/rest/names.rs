//! From what a client wrote to the user or party that it means.

use std::borrow::Cow;

use super::error::Error;
use crate::call::order::Party;
use crate::http::form::segment;
use crate::users::{Directory, User};

/// What names are looked up in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names<'d> {
    pub(super) directory: &'d Directory,
    /// The SIP domain.
    pub(super) domain: &'d str,
}

impl<'d> Names<'d> {
    /// The user of this name or alias, with or without our domain behind it.
    pub(super) fn user(self, text: &str) -> Option<&'d User> {
        let name = match text.rsplit_once('@') {
            Some((name, host)) if host.eq_ignore_ascii_case(self.domain) => name,
            Some(_) => return None,
            None => text,
        };
        self.directory.get_any(name)
    }

    /// The party that a text names, the same for every way to write it. Who is not in the directory is
    /// called as written.
    pub(super) fn party(self, what: &'static str, text: &str) -> Result<Party, Error> {
        let canonical = match (self.user(text), text.rsplit_once('@')) {
            (Some(user), _) => Cow::Borrowed(user.name()),
            (None, None) => Cow::Borrowed(text),
            (None, Some((name, host))) if host.eq_ignore_ascii_case(self.domain) => {
                Cow::Owned(format!("{name}@{}", self.domain))
            }
            (None, Some((name, host))) => Cow::Owned(format!("{name}@{}", host.to_ascii_lowercase())),
        };
        Party::new(&canonical, self.domain).map_err(|fault| Error::BadUser { what, fault })
    }

    /// The text of a path's segment.
    pub(super) fn decode<'a>(what: &'static str, text: &'a str) -> Result<Cow<'a, str>, Error> {
        segment(text).map_err(|fault| Error::BadEncoding { what, fault })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> Directory {
        let one = User::new("user1", "r", "1").with_aliases(vec!["201".to_owned(), "+49301".to_owned()]);
        Directory::new(vec![one], "r").unwrap()
    }

    #[test]
    fn every_way_to_write_a_user_means_the_same_party() {
        let directory = directory();
        let names = Names { directory: &directory, domain: "example.com" };
        for text in ["user1", "201", "+49301", "user1@example.com", "201@EXAMPLE.com"] {
            assert_eq!(names.party("x", text).unwrap().text(), "user1@example.com", "{text}");
            assert_eq!(names.user(text).map(User::name), Some("user1"), "{text}");
        }
    }

    #[test]
    fn who_is_not_in_the_directory_is_called_as_written() {
        let directory = directory();
        let names = Names { directory: &directory, domain: "example.com" };
        for (text, party) in [
            ("+4930123", "+4930123@example.com"),
            ("*21#", "*21#@example.com"),
            ("201@elsewhere.org", "201@elsewhere.org"),
            ("User1@Elsewhere.ORG:5070", "User1@elsewhere.org:5070"),
            ("other@Example.com", "other@example.com"),
            ("a@b@example.com", "a@b@example.com"),
            ("201@example.com@elsewhere.org", "201@example.com@elsewhere.org"),
            ("é", "é@example.com"),
            ("user1@[::1]", "user1@[::1]"),
        ] {
            assert_eq!(names.party("x", text).unwrap().text(), party, "{text}");
            assert!(names.user(text).is_none(), "{text}");
        }
    }

    #[test]
    fn names_of_nobody_are_refused_saying_which_and_why() {
        let directory = directory();
        let names = Names { directory: &directory, domain: "example.com" };
        for (text, why) in [
            ("", "is empty"),
            ("@example.com", "is empty"),
            ("@elsewhere.org", "is empty"),
            ("user1@", "host"),
            ("user1@a b", "white space"),
            ("user 1", "white space"),
            ("user1\0", "control"),
            ("user1\r\nVia: x", "control"),
            ("user1\u{85}", "control"),
            ("user1@host?Route=%3Cx%3E", "host"),
            ("user1@host;transport=tcp", "host"),
            ("user1@host>", "host"),
            (&"1".repeat(257), "256"),
        ] {
            let error = names.party("calledUser", text).unwrap_err();
            assert_eq!(error.status(), 400);
            let said = error.to_string();
            assert!(said.starts_with("calledUser ") && said.contains(why), "{text:?}: {said}");
        }
        assert!(Names::decode("callingUser", "%zz").unwrap_err().to_string().contains("callingUser"));
        assert!(Names::decode("callingUser", "%ff").unwrap_err().to_string().contains("UTF-8"));
        assert_eq!(Names::decode("callingUser", "a%40b+c").unwrap(), "a@b+c");
    }
}
