//! What is refused, with which status, as XML and as JSON.

use crate::phone::Phone;
use crate::{server, trusted};
use cordboard_tests::cordboard::Cordboard;
use cordboard_tests::curl::Reply;
use cordboard_tests::wait_for;

const PATH: &str = "/callcontroller/user1/user2";

/// Whether a client that asks for JSON can be known as such: not if its header fields were never read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Accept {
    Known,
    Unknown,
}

#[track_caller]
fn check_xml(reply: &Reply, status: u16, says: &str) {
    assert_eq!(
        (reply.status, reply.header("Content-Type")),
        (status, Some("text/xml; charset=utf-8")),
        "{reply:?}"
    );
    let start = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<processing-status \
                 xmlns=\"http://www.sipfoundry.org/sipX/schema/xml/call-status-00-00\">";
    assert!(reply.body.starts_with(start), "{}", reply.body);
    let code = format!("<error-flag>ERROR</error-flag><error-code>{status}</error-code><error-text>");
    assert!(reply.body.contains(&code) && reply.body.contains(says), "{status}, {says}: {}", reply.body);
}

#[track_caller]
fn check_json(reply: &Reply, status: u16, says: &str) {
    assert_eq!(
        (reply.status, reply.header("Content-Type")),
        (status, Some("application/problem+json")),
        "{reply:?}"
    );
    let problem: serde_json::Value =
        serde_json::from_str(&reply.body).unwrap_or_else(|e| panic!("{e}: {}", reply.body));
    assert_eq!((&problem["type"], &problem["status"]), (&"about:blank".into(), &status.into()), "{problem}");
    assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(says)), "{says}: {problem}");
}

/// Asks twice, once as a client of sipXecs and once as one of JSON, and returns the first answer. What sipXecs did
/// not have is answered in XML only to those who name it.
#[track_caller]
fn refused(
    server: &Cordboard,
    arguments: &[&str],
    path: &str,
    (status, says): (u16, &str),
    accept: Accept,
) -> Reply {
    let named: &[&str] = if path.starts_with("/calls") { &["-H", "Accept: text/xml"] } else { &[] };
    let xml = trusted(server, &[named, arguments].concat(), path);
    check_xml(&xml, status, says);
    let json = trusted(server, &[&["-H", "Accept: application/json"], arguments].concat(), path);
    match accept {
        Accept::Known => check_json(&json, status, says),
        Accept::Unknown => check_xml(&json, status, says),
    }
    xml
}

#[test]
fn a_bad_parameter_is_refused_by_its_name() {
    let server = server("");
    for (parameters, says) in [
        ("sipMethod=BYE", "sipMethod"),
        ("sipMethod=", "sipMethod"),
        ("action=drop", "action"),
        ("action=transfer", "target"),
        ("action=transfer&target=", "target"),
        ("action=transfer&target=a%20b", "target"),
        ("timeout=", "timeout"),
        ("timeout=0", "timeout"),
        ("timeout=3601", "timeout"),
        ("timeout=-1", "timeout"),
        ("timeout=%2B1", "timeout"),
        ("timeout=1.5", "timeout"),
        ("timeout=99999999999999999999", "timeout"),
        ("agent=", "agent"),
        ("agent=a%0ab", "agent"),
        ("subject=", "subject"),
        ("subject=a%0d%0ab", "subject"),
        ("isForwardingAllowed=yes", "isForwardingAllowed"),
        ("resultCacheTime=86401", "resultCacheTime"),
        ("resultCacheTime=now", "resultCacheTime"),
        ("autoAnswer=1", "autoAnswer"),
        ("confpin=12a", "confpin"),
        ("confpin=", "confpin"),
        ("timeout=1&timeout=2", "timeout is given twice"),
        ("subject=%zz", "the query cannot be decoded"),
        ("subject=%ff", "the query cannot be decoded"),
    ] {
        refused(&server, &["-X", "POST"], &format!("{PATH}?{parameters}"), (400, says), Accept::Known);
        if !says.contains("query") {
            refused(&server, &["-d", parameters], PATH, (400, says), Accept::Known);
        }
    }
    let long = format!("{PATH}?subject={}", "x".repeat(257));
    refused(&server, &["-X", "POST"], &long, (400, "subject"), Accept::Known);
    refused(&server, &["-d", "subject=%"], PATH, (400, "the body cannot be decoded"), Accept::Known);
    refused(
        &server,
        &["-d", "timeout=5"],
        &format!("{PATH}?timeout=5"),
        (400, "timeout is given twice"),
        Accept::Known,
    );
}

#[test]
fn a_user_that_nobody_can_be_is_refused_by_its_place_in_the_path() {
    let server = server("");
    for (path, says) in [
        ("/callcontroller//user2", "callingUser is empty"),
        ("/callcontroller/user1/", "calledUser is empty"),
        ("/callcontroller/a%20b/user2", "callingUser"),
        ("/callcontroller/user1/%zz", "calledUser cannot be decoded"),
        ("/callcontroller/user1/a%40", "calledUser"),
        ("/callcontroller/user1/a%40b%20c", "calledUser"),
        ("/callcontroller/user1%00/user2", "callingUser"),
    ] {
        refused(&server, &["-X", "POST"], path, (400, says), Accept::Known);
    }
}

#[test]
fn paths_and_methods_that_are_not_served_are_refused() {
    let server = server("");
    for path in [
        "/nothing",
        "/callcontroller/user1",
        "/callcontroller/user1/user2/user3",
        "/calls/none/such",
        "/calls/x",
    ] {
        refused(&server, &[], path, (404, ""), Accept::Known);
    }
    refused(&server, &["-X", "DELETE"], PATH, (404, "no such call"), Accept::Known);
    for (method, path, allow) in [
        ("PUT", PATH, "GET, HEAD, POST, DELETE, OPTIONS"),
        ("PATCH", PATH, "GET, HEAD, POST, DELETE, OPTIONS"),
        ("POST", "/calls", "GET, HEAD, OPTIONS"),
        ("POST", "/calls/x", "GET, HEAD, DELETE, OPTIONS"),
    ] {
        let reply = refused(&server, &["-X", method], path, (405, allow), Accept::Known);
        assert_eq!(reply.header("Allow"), Some(allow), "{method} {path}");
    }
    for method in ["BREW", "post", "INVITE"] {
        refused(&server, &["-X", method], PATH, (501, "method"), Accept::Known);
    }
}

#[test]
fn a_transfer_of_no_call_and_an_unknown_coding_are_refused_as_such() {
    let server = server("");
    for parameters in ["action=transfer&target=user3", "action=transfer&target=user3&sipMethod=INVITE"] {
        let expected = (404, "no such call");
        refused(&server, &["-X", "POST"], &format!("{PATH}?{parameters}"), expected, Accept::Known);
    }
    refused(
        &server,
        &["-H", "Transfer-Encoding: gzip, chunked", "-d", "a=b"],
        PATH,
        (501, "coding"),
        Accept::Known,
    );
}

#[test]
fn a_second_call_between_the_same_two_is_refused_while_the_first_goes_on() {
    let (server, phone) = (server(""), Phone::new());
    assert_eq!(server.trusted("POST", &phone.path()).status, 200);
    refused(&server, &["-X", "POST"], &phone.path(), (409, "in progress"), Accept::Known);
    assert_eq!(
        server.trusted("POST", &format!("{}?agent=user2", phone.pair())).status,
        200,
        "another agent's is another call"
    );
    phone.be_busy();
    phone.be_busy();
    wait_for("a new call", || (server.trusted("POST", &phone.path()).status == 200).then_some(()));
}

#[test]
fn what_is_too_long_is_refused_and_the_service_goes_on() {
    let server = server("");
    let file = server.folder.path().join("large");
    std::fs::File::create(&file).and_then(|file| file.set_len(10 << 20)).expect("a file can be made");
    let data = format!("@{}", file.display());
    let form = "Content-Type: application/x-www-form-urlencoded";
    for more in ["Expect: 100-continue", "Expect:", "Transfer-Encoding: chunked"] {
        refused(
            &server,
            &["-H", form, "-H", more, "--data-binary", &data],
            PATH,
            (413, "65536"),
            Accept::Known,
        );
    }
    let long = "x".repeat(20_000);
    refused(&server, &[], &format!("{PATH}?{long}"), (414, "target"), Accept::Unknown);
    refused(&server, &["-H", &format!("X-Long: {long}")], PATH, (431, "16384"), Accept::Unknown);
    let many: Vec<String> = (0..120).map(|n| format!("X-{n}: 1")).collect();
    let many: Vec<&str> = many.iter().flat_map(|field| ["-H", field.as_str()]).collect();
    refused(&server, &many, PATH, (431, "100"), Accept::Unknown);
    assert_eq!(server.trusted("GET", PATH).status, 200);
}

#[test]
fn a_body_of_another_type_and_another_expectation_are_refused() {
    let server = server("");
    for kind in ["text/plain", "application/json", "multipart/form-data; boundary=x", ""] {
        let header = format!("Content-Type: {kind}");
        let reply = refused(
            &server,
            &["-H", &header, "-d", "timeout=5"],
            PATH,
            (415, "application/x-www-form-urlencoded"),
            Accept::Known,
        );
        assert_eq!(reply.header("Accept"), Some("application/x-www-form-urlencoded"), "{kind}");
    }
    refused(
        &server,
        &["-H", "Expect: 200-ok", "-d", "timeout=5"],
        PATH,
        (417, "100-continue"),
        Accept::Known,
    );
}

#[test]
fn a_call_that_cannot_be_sent_is_refused_until_later() {
    let server = server("");
    // No proxy, and an address of a family that is not listened for.
    let path = "/callcontroller/user1%40%5B::1%5D/user2?agent=user1";
    let reply = refused(&server, &["-X", "POST"], path, (503, "transport"), Accept::Known);
    assert_eq!(reply.header("Retry-After"), Some("5"));
}

#[test]
fn more_calls_than_allowed_are_refused_until_later() {
    let (server, phone) = (server("[calls]\nmax_calls = 1"), Phone::new());
    assert_eq!(server.trusted("POST", &format!("{}&resultCacheTime=0", phone.path())).status, 200);
    let other = format!("{}?agent=user2", phone.pair());
    let reply = refused(&server, &["-X", "POST"], &other, (503, "limit"), Accept::Known);
    assert_eq!(reply.header("Retry-After"), Some("5"));
    phone.be_busy();
    wait_for("room for a call", || (server.trusted("POST", &other).status == 200).then_some(()));
}
