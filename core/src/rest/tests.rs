use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::Tick;
use crate::call::order::{Answering, Forwarding};
use crate::http::{Connection, Limits, Next};
use crate::users::User;

const ID: &str = "0123456789abcdef0123456789abcdef";

fn directory() -> Directory {
    let one = User::new("user1", "r", "1")
        .with_aliases(vec!["201".to_owned()])
        .with_sip_password("user1", "r", "pw");
    let two = User::new("user2", "r", "1").with_aliases(vec!["202".to_owned()]);
    let robot = User::new("robot", "r", "1").with_may_act_for(vec!["*".to_owned()]);
    Directory::new(vec![one, two, robot], "r").unwrap()
}

fn config() -> Config {
    Config::from_toml(
        "[sip]\ndomain = \"example.com\"\n[calls]\ntimeout = \"90s\"\nresult_cache_time = \"60s\"\n",
    )
    .unwrap()
}

fn caller(name: &str) -> Caller {
    if name == "trusted" { Caller::Trusted } else { Caller::User(name.into()) }
}

/// What a request of these bytes asks, if `who` sends it.
fn read_bytes(who: &str, bytes: &[u8]) -> Result<Action, Error> {
    let limits = Limits {
        head: 16_384,
        body: 65_536,
        headers: 100,
        request_time: Duration::from_secs(10),
        idle_time: Duration::from_secs(75),
        pipelined: 64,
    };
    let mut connection = Connection::new(Tick::ZERO);
    let mut fresh = bytes;
    let (caller, users, config) = (caller(who), directory(), config());
    match connection.poll(Tick::ZERO, &mut fresh, &limits, &mut Vec::new()) {
        Next::Request(request) => read(&request, Asked { caller: &caller, users: &users, config: &config }),
        Next::Refused { refusal, .. } => Err(refusal.into()),
        Next::Nothing | Next::Close => panic!("the request is not complete"),
    }
}

fn ask(who: &str, method: &str, target: &str) -> Result<Action, Error> {
    read_bytes(who, format!("{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
}

fn post(who: &str, target: &str, media_type: Option<&str>, body: &str) -> Result<Action, Error> {
    let media_type = media_type.map(|name| format!("Content-Type: {name}\r\n")).unwrap_or_default();
    let length = body.len();
    let head = format!("POST {target} HTTP/1.1\r\nHost: x\r\n{media_type}Content-Length: {length}\r\n\r\n");
    read_bytes(who, format!("{head}{body}").as_bytes())
}

fn placed(who: &str, target: &str) -> (Placing, Ignored) {
    match ask(who, "POST", target) {
        Ok(Action::Place(placing, ignored)) => (*placing, ignored),
        other => panic!("{target}: {other:?}"),
    }
}

fn named(name: &CallName) -> (&str, &str, &str) {
    (&name.agent, name.calling.text(), name.called.text())
}

#[test]
fn a_call_is_placed_as_the_request_and_the_defaults_say() {
    let (plain, ignored) = placed("user1", "/callcontroller/201/%2b4930@PBX.example.org");
    assert_eq!(named(&plain.name()), ("user1", "user1@example.com", "+4930@pbx.example.org"));
    assert_eq!((plain.timeout, plain.cache_time), (Duration::from_secs(90), Duration::from_secs(60)));
    assert_eq!((plain.forwarding, plain.answering), (Forwarding::Forbidden, Answering::Manual));
    assert_eq!((plain.subject, plain.confpin), (None, None));
    assert_eq!(
        plain.agent.credentials.map(|credentials| credentials.username.clone()).as_deref(),
        Some("user1")
    );
    assert!(ignored.is_empty());

    let (full, ignored) = placed(
        "trusted",
        "/callcontroller/0123/user2%40example.com?sipMethod=refer&action=call&timeout=7&agent=201&subject=Hi+%C3%A9\
         &isForwardingAllowed=true&resultCacheTime=0&autoAnswer=true&confpin=42&verbose=1",
    );
    assert_eq!(named(&full.name()), ("user1", "0123@example.com", "user2@example.com"));
    assert_eq!((full.timeout, full.cache_time), (Duration::from_secs(7), Duration::ZERO));
    assert_eq!((full.forwarding, full.answering), (Forwarding::Allowed, Answering::Auto));
    assert_eq!((full.subject.as_deref(), full.confpin.as_deref()), (Some("Hi é"), Some("42")));
    assert_eq!(ignored.to_string(), "verbose");
}

#[test]
fn a_form_in_the_body_counts_and_other_bodies_do_not() {
    let path = "/callcontroller/user1/user2";
    for media_type in
        ["application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded ; charset=UTF-8"]
    {
        let Ok(Action::Place(placing, _)) = post("user1", path, Some(media_type), "timeout=8&agent=user1")
        else {
            panic!("{media_type}")
        };
        assert_eq!(placing.timeout, Duration::from_secs(8));
    }
    for media_type in [
        None,
        Some("application/json"),
        Some("text/plain"),
        Some("multipart/form-data; boundary=x"),
        Some(""),
    ] {
        assert_eq!(
            post("user1", path, media_type, "timeout=8").unwrap_err(),
            Error::MediaType,
            "{media_type:?}"
        );
        assert!(post("user1", path, media_type, "").is_ok(), "{media_type:?}");
    }
    let twice = post(
        "user1",
        "/callcontroller/user1/user2?timeout=7",
        Some("application/x-www-form-urlencoded"),
        "timeout=7",
    );
    assert_eq!(twice.unwrap_err(), Error::Twice("timeout"));
}

#[test]
fn every_wrong_request_is_answered_with_the_status_and_the_name_of_what_is_wrong() {
    for (who, method, target, status, text) in [
        ("user1", "GET", "/", 404, "path"),
        ("user1", "GET", "/callcontroller/user1", 404, "path"),
        ("user1", "GET", "/calls/12", 404, "call"),
        ("user1", "DELETE", "/calls/0123456789ABCDEF0123456789abcdef", 404, "call"),
        ("user1", "PUT", "/callcontroller/user1/user2", 405, "POST"),
        ("user1", "POST", "/calls", 405, "GET, HEAD, OPTIONS"),
        ("user1", "INVITE", "/callcontroller/user1/user2", 501, "method"),
        ("user1", "POST", "/callcontroller//user2", 400, "callingUser is empty"),
        ("user1", "POST", "/callcontroller/user1/", 400, "calledUser is empty"),
        ("user1", "GET", "/callcontroller/user1/", 400, "calledUser is empty"),
        ("user1", "DELETE", "/callcontroller//", 400, "callingUser is empty"),
        ("user1", "POST", "/callcontroller/user1/a%20b", 400, "calledUser has white space"),
        (
            "user1",
            "POST",
            "/callcontroller/user1%0D%0AVia:x/b",
            400,
            "callingUser has white space or control",
        ),
        ("user1", "POST", "/callcontroller/user1/b%00", 400, "calledUser"),
        ("user1", "POST", "/callcontroller/user1/b%", 400, "calledUser cannot be decoded"),
        ("user1", "POST", "/callcontroller/%c3/b", 400, "callingUser cannot be decoded"),
        ("user1", "POST", "/callcontroller/user1/b@x%3Btransport=tcp", 400, "calledUser"),
        ("user1", "POST", "/callcontroller/user1/user2?timeout=0", 400, "timeout"),
        ("user1", "POST", "/callcontroller/user1/user2?timeout=", 400, "timeout"),
        ("user1", "POST", "/callcontroller/user1/user2?action=transfer", 400, "target"),
        (
            "user1",
            "POST",
            "/callcontroller/user1/user2?action=transfer&target=a%20b",
            400,
            "target has white space",
        ),
        ("user1", "POST", "/callcontroller/user1/user2?agent=a%20b", 400, "agent has white space"),
        ("user1", "POST", "/callcontroller/user1/user2?subject=a%0Ab", 400, "subject"),
        ("user1", "POST", "/callcontroller/user2/user1", 403, "user1 may not act as agent user2"),
        ("user1", "POST", "/callcontroller/user1/user2?agent=user2", 403, "user1 may not act as agent user2"),
        (
            "user1",
            "POST",
            "/callcontroller/user1/user2?agent=nobody",
            403,
            "user1 may not act as agent nobody",
        ),
        ("trusted", "POST", "/callcontroller/0123/user2", 403, "no user 0123"),
        ("trusted", "POST", "/callcontroller/user1/user2?agent=nobody", 403, "no user nobody"),
        ("trusted", "GET", "/callcontroller/user1/user2?agent=nobody", 403, "no user nobody"),
        ("trusted", "DELETE", "/callcontroller/user1/user2?agent=", 400, "agent"),
        ("user1", "POST", "/callcontroller/user1/user2?sipMethod=BYE", 400, "sipMethod"),
        ("user1", "POST", "/callcontroller/user1/user2?action=transfer", 400, "target"),
        ("user1", "POST", "/callcontroller/user1/user2?action=transfer&target=a%20b", 400, "target"),
        ("user1", "POST", "/callcontroller/user1/user2?action=transfer&target=user2", 400, "called party"),
        ("user1", "POST", "/callcontroller/user2/user1?sipMethod=invite", 403, "user1"),
    ] {
        let error = ask(who, method, target).map(|action| format!("{action:?}")).expect_err(target);
        assert_eq!(error.status(), status, "{method} {target}: {error}");
        assert!(error.to_string().contains(text), "{method} {target}: {error}");
    }
    let long = format!("/callcontroller/user1/{}", "1".repeat(257));
    assert!(ask("user1", "POST", &long).unwrap_err().to_string().contains("calledUser is longer"));
}

#[test]
fn asking_for_a_call_names_it_as_placing_it_did() {
    for (who, target, agent) in [
        ("user1", "/callcontroller/201/202", "user1"),
        (
            "user1",
            "/callcontroller/user1@EXAMPLE.com/user2?agent=user2&agent=&timeout=0&sipMethod=&%zz",
            "user1",
        ),
        ("robot", "/callcontroller/user1/user2", "robot"),
        ("trusted", "/callcontroller/201/user2@example.com", "user1"),
        ("trusted", "http://host/callcontroller/user1/user2?x=&agent=202", "user2"),
    ] {
        for method in ["GET", "HEAD"] {
            let Ok(Action::Progress(name)) = ask(who, method, target) else { panic!("{method} {target}") };
            assert_eq!(named(&name), (agent, "user1@example.com", "user2@example.com"), "{method} {target}");
        }
        let Ok(Action::HangUp(name)) = ask(who, "DELETE", target) else { panic!("DELETE {target}") };
        assert_eq!(named(&name), (agent, "user1@example.com", "user2@example.com"), "DELETE {target}");
    }
    let (placing, _) = placed("trusted", "/callcontroller/201/0123@Example.com");
    let Ok(Action::Progress(name)) = ask("user1", "GET", "/callcontroller/user1/0123") else { panic!() };
    assert_eq!(placing.name(), name);
}

#[test]
fn a_trusted_host_that_asks_for_the_call_of_no_user_asks_for_none() {
    let Ok(Action::Progress(name)) = ask("trusted", "GET", "/callcontroller/0123/user2") else { panic!() };
    assert!(directory().get_any(&name.agent).is_none(), "{name:?}");
}

#[test]
fn calls_are_listed_and_named_by_their_identifiers() {
    assert!(matches!(ask("user1", "GET", "/calls?x=1"), Ok(Action::List)));
    let target = format!("/calls/{ID}");
    for method in ["GET", "HEAD"] {
        let Ok(Action::ShowCall(id)) = ask("user1", method, &target) else { panic!("{method}") };
        assert_eq!(id.text().as_str(), ID);
    }
    let Ok(Action::HangUpCall(id)) = ask("user1", "DELETE", &target) else { panic!() };
    assert_eq!(id.text().as_str(), ID);
}

#[test]
fn options_tell_the_methods_of_every_path() {
    for (target, methods) in [
        ("*", "GET, HEAD, POST, DELETE, OPTIONS"),
        ("/callcontroller/user2/user3", "GET, HEAD, POST, DELETE, OPTIONS"),
        ("/calls", "GET, HEAD, OPTIONS"),
        ("/calls/1", "GET, HEAD, DELETE, OPTIONS"),
    ] {
        let Ok(Action::Options(allow)) = ask("user1", "OPTIONS", target) else { panic!("{target}") };
        assert_eq!(allow, methods, "{target}");
    }
}

fn hostile_text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9@.:;?&<>\"%+=,ü]{1,12}", "[a-z@\r\n\0\u{85} ]{0,8}", any::<String>()]
}

proptest! {
    /// Whatever is encoded into path and query, it never gets into a URI or a line as more than a text.
    #[test]
    fn no_text_in_a_request_can_become_more_than_a_text(
        calling in hostile_text(), called in hostile_text(), subject in hostile_text(), other in hostile_text(),
    ) {
        let escaped = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
        let target = format!(
            "/callcontroller/{}/{}?agent=user1&subject={}&{}=1",
            escaped(&calling), escaped(&called), escaped(&subject), escaped(&other),
        );
        match ask("trusted", "POST", &target) {
            Err(error) => prop_assert!(matches!(error.status(), 400 | 414), "{error}"),
            Ok(Action::Place(placing, ignored)) => {
                let subject = placing.subject.as_deref().unwrap_or_default();
                for text in [placing.calling.uri(), placing.called.uri(), subject, &ignored.to_string()] {
                    prop_assert!(!text.chars().any(char::is_control), "{text:?}");
                }
                for party in [&placing.calling, &placing.called] {
                    let uri = crate::sip::message::Uri::parse(party.uri()).unwrap();
                    prop_assert!(uri.headers.is_none() && uri.params.raw().is_empty() && uri.user.is_some());
                }
            }
            Ok(other) => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn no_target_does_harm(target in "[/a-z0-9%?=&:@*+.]{0,60}", who in "trusted|user1") {
        for method in ["GET", "POST", "DELETE", "OPTIONS"] {
            if let Err(error) = ask(&who, method, &format!("/{target}")) {
                prop_assert!((400..=501).contains(&error.status()), "{error}");
            }
        }
    }
}
