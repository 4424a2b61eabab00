//! Which resource a method and a target name.

use super::error::Error;

/// What may be done with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// GET, and HEAD, whose body the connection leaves out.
    Get,
    Post,
    Delete,
    Options,
}

/// What a path names; its segments are as they were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource<'a> {
    /// The call between two users.
    Pair { calling: &'a str, called: &'a str },
    /// All calls.
    Calls,
    /// The call with this identifier.
    Call(&'a str),
    /// The service as a whole (RFC 9110 §9.3.7).
    Service,
}

/// A request that can be looked at further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route<'a> {
    pub(super) verb: Verb,
    pub(super) resource: Resource<'a>,
}

impl Resource<'_> {
    /// The methods, as `Allow` lists them.
    pub(super) fn allow(self) -> &'static str {
        match self {
            Resource::Pair { .. } | Resource::Service => "GET, HEAD, POST, DELETE, OPTIONS",
            Resource::Calls => "GET, HEAD, OPTIONS",
            Resource::Call(_) => "GET, HEAD, DELETE, OPTIONS",
        }
    }

    fn allows(self, verb: Verb) -> bool {
        match self {
            Resource::Pair { .. } => true,
            Resource::Calls => matches!(verb, Verb::Get | Verb::Options),
            Resource::Call(_) => matches!(verb, Verb::Get | Verb::Delete | Verb::Options),
            Resource::Service => verb == Verb::Options,
        }
    }
}

/// Finds the resource. Methods that nobody knows are refused before anything else, then paths, then methods
/// that the path does not take.
pub(super) fn route<'a>(method: &str, path: &'a str) -> Result<Route<'a>, Error> {
    let verb = verb(method)?;
    let resource = resource(path).ok_or(Error::NoSuchPath)?;
    match verb {
        Some(verb) if resource.allows(verb) => Ok(Route { verb, resource }),
        _ => Err(Error::MethodNotAllowed(resource.allow())),
    }
}

/// `None` for a method that is known, but that nothing here takes.
fn verb(method: &str) -> Result<Option<Verb>, Error> {
    match method {
        "GET" | "HEAD" => Ok(Some(Verb::Get)),
        "POST" => Ok(Some(Verb::Post)),
        "DELETE" => Ok(Some(Verb::Delete)),
        "OPTIONS" => Ok(Some(Verb::Options)),
        "PUT" | "PATCH" | "CONNECT" | "TRACE" => Ok(None),
        _ => Err(Error::UnknownMethod),
    }
}

fn resource(path: &str) -> Option<Resource<'_>> {
    if path == "*" {
        return Some(Resource::Service);
    }
    let mut segments = path.strip_prefix('/')?.split('/');
    let found = match (segments.next()?, segments.next(), segments.next()) {
        ("callcontroller", Some(calling), Some(called)) => Resource::Pair { calling, called },
        ("calls", None, None) => Resource::Calls,
        ("calls", Some(id), None) if !id.is_empty() => Resource::Call(id),
        _ => return None,
    };
    segments.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_found() {
        for (path, resource) in [
            ("/callcontroller/a/b", Resource::Pair { calling: "a", called: "b" }),
            ("/callcontroller/%61/sip:b", Resource::Pair { calling: "%61", called: "sip:b" }),
            ("/callcontroller//b", Resource::Pair { calling: "", called: "b" }),
            ("/callcontroller/a/", Resource::Pair { calling: "a", called: "" }),
            ("/calls", Resource::Calls),
            ("/calls/12", Resource::Call("12")),
        ] {
            assert_eq!(route("GET", path).unwrap(), Route { verb: Verb::Get, resource }, "{path}");
        }
        let service = route("OPTIONS", "*").unwrap();
        assert_eq!((service.verb, service.resource), (Verb::Options, Resource::Service));
    }

    #[test]
    fn other_paths_are_not_there() {
        for target in [
            "/",
            "",
            "/callcontroller",
            "/callcontroller/",
            "/callcontroller/a",
            "/callcontroller/a/b/",
            "/callcontroller/a/b/c",
            "/CallController/a/b",
            "/calls/",
            "/calls/1/2",
            "/call",
            "//callcontroller/a/b",
            "*/callcontroller/a/b",
        ] {
            assert!(matches!(route("GET", target), Err(Error::NoSuchPath)), "{target}");
        }
    }

    #[test]
    fn a_method_that_the_path_does_not_take_is_told_which_ones_it_does() {
        for (method, target, expected) in [
            ("PUT", "/callcontroller/a/b", "GET, HEAD, POST, DELETE, OPTIONS"),
            ("PATCH", "/callcontroller/a/b", "GET, HEAD, POST, DELETE, OPTIONS"),
            ("POST", "/calls", "GET, HEAD, OPTIONS"),
            ("DELETE", "/calls", "GET, HEAD, OPTIONS"),
            ("POST", "/calls/1", "GET, HEAD, DELETE, OPTIONS"),
            ("TRACE", "/calls/1", "GET, HEAD, DELETE, OPTIONS"),
            ("CONNECT", "/calls/1", "GET, HEAD, DELETE, OPTIONS"),
            ("GET", "*", "GET, HEAD, POST, DELETE, OPTIONS"),
        ] {
            let Err(Error::MethodNotAllowed(allow)) = route(method, target) else {
                panic!("{method} {target}")
            };
            assert_eq!(allow, expected, "{method} {target}");
        }
        for method in ["HEAD", "POST", "DELETE", "OPTIONS"] {
            assert!(route(method, "/callcontroller/a/b").is_ok(), "{method}");
        }
    }

    #[test]
    fn a_method_that_nobody_knows_is_not_implemented_wherever_it_is_sent() {
        for method in ["get", "INVITE", "PROPFIND", ""] {
            assert!(matches!(route(method, "/calls"), Err(Error::UnknownMethod)), "{method}");
            assert!(matches!(route(method, "/nowhere"), Err(Error::UnknownMethod)), "{method}");
        }
    }
}
