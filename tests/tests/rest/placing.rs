//! Calls placed, shown and ended.

use crate::phone::Phone;
use crate::{server, trusted};
use cordboard_tests::cordboard::Cordboard;
use serde_json::{Value, json};

const NAMESPACE: &str = "http://www.sipfoundry.org/sipX/schema/xml/call-status-00-00";

fn json_of(server: &Cordboard, arguments: &[&str], path: &str) -> Value {
    let reply = trusted(server, &[&["-H", "Accept: application/json"], arguments].concat(), path);
    assert_eq!((reply.status, reply.header("Content-Type")), (200, Some("application/json")), "{reply:?}");
    serde_json::from_str(&reply.body).unwrap_or_else(|e| panic!("{e}: {}", reply.body))
}

#[test]
fn a_placed_call_is_answered_200_without_a_body_and_rings_the_phone() {
    let (server, phone) = (server(""), Phone::new());
    let reply = server.trusted("POST", &phone.path());
    assert_eq!((reply.status, reply.body.as_str()), (200, ""), "{reply:?}");
    assert_eq!(reply.header("Content-Length"), Some("0"));
    assert!(reply.header("Cordboard-Ignored").is_none(), "{reply:?}");
    let location = reply.header("Location").expect("the call has a place").to_owned();
    assert!(location.starts_with("/calls/"), "{location}");
    let invite = phone.hear("INVITE");
    assert!(
        invite.text.starts_with(&format!("INVITE sip:phone@{} SIP/2.0\r\n", phone.address())),
        "{}",
        invite.text
    );
    assert!(invite.field("From").starts_with("\"User One\" <sip:user1@example.com>;tag="), "{}", invite.text);
    assert!(invite.text.contains("\r\na=sendonly\r\n"), "{}", invite.text);
    assert_eq!(invite.field("Request-Disposition"), "no-recurse");
    let call = json_of(&server, &[], &location);
    assert_eq!(location, format!("/calls/{}", call["id"].as_str().expect("a call has a name")));
}

#[test]
fn a_call_placed_by_a_client_of_json_is_answered_with_the_call() {
    let (server, phone) = (server(""), Phone::new());
    let call = json_of(&server, &["-X", "POST"], &phone.path());
    assert_eq!(call["state"], "alerting");
    assert_eq!(call["agent"], "user1");
    assert_eq!(call["method"], "REFER");
    assert_eq!(
        call["parties"],
        json!({"calling": format!("phone@{}", phone.address()), "called": "user2@example.com"})
    );
    assert_eq!((&call["outcome"], &call["events"]), (&Value::Null, &json!([])));
    let shown = json_of(&server, &[], &phone.path());
    assert_eq!(shown["id"], call["id"]);
}

#[test]
fn progress_is_shown_as_xml_and_as_json() {
    let (server, phone) = (server(""), Phone::new());
    server.trusted("POST", &phone.path());
    let invite = phone.hear("INVITE");
    phone.answer(&invite, "180 Ringing <b>&");
    phone.answer(&invite, "486 Busy Here");
    let call = server.ended(&phone.path());
    assert_eq!(Cordboard::texts(&call), ["SIP/2.0 180 Ringing <b>&", "SIP/2.0 486 Busy Here"]);
    assert_eq!(call["events"][1]["status"], 486);
    assert_eq!(call["events"][1]["method"], "INVITE");

    let reply = server.trusted("GET", &format!("{}&timeout=what&%zz", phone.path()));
    assert_eq!((reply.status, reply.header("Content-Type")), (200, Some("text/xml; charset=utf-8")));
    assert_eq!(reply.header("Cache-Control"), Some("no-store"));
    let start = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<status-lines xmlns=\"{NAMESPACE}\">\n<status>\n\t<timestamp>"
    );
    assert!(reply.body.starts_with(&start), "{}", reply.body);
    let call_id = invite.field("Call-ID");
    assert!(
        reply
            .body
            .contains(&format!("</timestamp>\n\t<call-id>{call_id}</call-id>\n\t<method>INVITE</method>\n"))
    );
    assert!(
        reply.body.contains("<status-line>SIP/2.0 180 Ringing &lt;b&gt;&amp;</status-line>"),
        "{}",
        reply.body
    );
    assert!(reply.body.contains("<status-line>SIP/2.0 486 Busy Here</status-line>"), "{}", reply.body);
}

#[test]
fn where_there_is_no_call_the_document_is_empty() {
    let server = server("");
    let reply = server.trusted("GET", "/callcontroller/user1/user2");
    let empty = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<status-lines xmlns=\"{NAMESPACE}\">\n</status-lines>\n"
    );
    assert_eq!((reply.status, reply.body), (200, empty));
    assert_eq!(json_of(&server, &[], "/callcontroller/user1/user2"), Value::Null);
    assert_eq!(json_of(&server, &[], "/calls"), json!({"calls": [], "more": false}));
}

#[test]
fn a_record_without_cache_time_is_gone_with_its_call() {
    let (server, phone) = (server(""), Phone::new());
    let reply = server.trusted("POST", &format!("{}&resultCacheTime=0", phone.path()));
    let location = reply.header("Location").expect("the call has a place").to_owned();
    phone.be_busy();
    cordboard_tests::wait_for("the end of the record", || {
        (server.trusted("GET", &location).status == 404).then_some(())
    });
    assert_eq!(server.call(&phone.path()), Value::Null);
}

#[test]
fn head_tells_what_get_would_and_options_what_may_be_asked() {
    let (server, phone) = (server(""), Phone::new());
    let get = server.trusted("GET", &phone.path());
    let head = server.trusted("HEAD", &phone.path());
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("Content-Length"), get.header("Content-Length"));
    assert_eq!(head.header("Content-Type"), get.header("Content-Type"));
    for (path, allow) in [
        (phone.path().as_str(), "GET, HEAD, POST, DELETE, OPTIONS"),
        ("/calls", "GET, HEAD, OPTIONS"),
        ("/calls/x", "GET, HEAD, DELETE, OPTIONS"),
    ] {
        let reply = server.trusted("OPTIONS", path);
        assert_eq!((reply.status, reply.header("Allow")), (204, Some(allow)), "{path}");
    }
    let reply = trusted(&server, &["-X", "OPTIONS", "--request-target", "*"], "/");
    assert_eq!(reply.status, 204, "{reply:?}");
}

#[test]
fn a_call_is_ended_by_delete_and_then_there_is_none_to_end() {
    let (server, phone) = (server(""), Phone::new());
    assert_eq!(server.trusted("DELETE", &phone.path()).status, 404);
    server.trusted("POST", &phone.path());
    let invite = phone.hear("INVITE");
    phone.answer(&invite, "180 Ringing");
    cordboard_tests::wait_for("the ringing", || {
        (!Cordboard::texts(&server.call(&phone.path())).is_empty()).then_some(())
    });
    let reply = server.trusted("DELETE", &phone.path());
    assert_eq!((reply.status, reply.body.as_str()), (204, ""), "{reply:?}");
    let cancel = phone.hear("CANCEL");
    phone.answer(&cancel, "200 OK");
    phone.answer(&invite, "487 Request Terminated");
    phone.hear("ACK");
    let call = server.ended(&phone.path());
    assert_eq!(Cordboard::texts(&call), ["SIP/2.0 180 Ringing", "SIP/2.0 487 Request Terminated"]);
    assert_eq!(server.trusted("DELETE", &phone.path()).status, 404);
    let location = format!("/calls/{}", call["id"].as_str().expect("a call has a name"));
    assert_eq!(server.trusted("DELETE", &location).status, 404);
}

#[test]
fn a_call_is_ended_by_its_own_name_too() {
    let (server, phone) = (server(""), Phone::new());
    let reply = server.trusted("POST", &phone.path());
    let location = reply.header("Location").expect("the call has a place");
    let invite = phone.hear("INVITE");
    phone.answer(&invite, "180 Ringing");
    assert_eq!(server.trusted("DELETE", location).status, 204);
    phone.hear("CANCEL");
}

#[test]
fn parameters_that_mean_nothing_are_named_in_the_answer_and_the_log() {
    let (server, phone) = (server(""), Phone::new());
    let path = format!("{}&sandwich=ham&target=x&%0d%0aSet-Cookie:x=1&sandwich=2", phone.path());
    let reply = server.trusted("POST", &path);
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.header("Cordboard-Ignored"), Some("sandwich, __Set-Cookie_x, target"), "{reply:?}");
    assert!(reply.header("Set-Cookie").is_none(), "{reply:?}");
    let said = server.process.said();
    assert!(said.contains("ignored parameters names=\"sandwich, __Set-Cookie_x, target\""), "{said}");
}

#[test]
fn query_and_body_are_read_as_one() {
    let (server, phone) = (server(""), Phone::new());
    let form = ["-d", "subject=Gr%C3%BC%C3%9Fe+an+alle&autoAnswer=TRUE", "-d", "isForwardingAllowed=true"];
    let reply = trusted(&server, &form, &format!("{}&timeout=60&confpin=1234", phone.path()));
    assert_eq!(reply.status, 200, "{reply:?}");
    let invite = phone.hear("INVITE");
    assert_eq!(invite.field("Subject"), "Grüße an alle");
    assert_eq!(invite.field("Answer-Mode"), "Auto");
    assert!(invite.field("Call-Info").ends_with(";answer-after=0"), "{}", invite.text);
    assert!(invite.field("Alert-Info").ends_with(";info=alert-autoanswer"), "{}", invite.text);
    assert!(invite.fields("Request-Disposition").is_empty(), "{}", invite.text);
}

#[test]
fn an_alias_a_domain_and_any_case_of_a_host_name_the_same_call() {
    let (server, phone) = (server(""), Phone::new());
    server.trusted("POST", &format!("{}?agent=201", phone.pair()));
    for agent in ["user1", "201", "user1@example.com", "201%40EXAMPLE.com"] {
        let path = format!("{}%40example.com?agent={agent}", phone.pair());
        assert_eq!(server.call(&path)["agent"], "user1", "{agent}");
    }
    assert_eq!(server.call(&format!("{}?agent=user2", phone.pair())), Value::Null);
}

#[test]
fn what_a_client_writes_never_becomes_a_header_field_of_the_invite() {
    let (server, phone) = (server(""), Phone::new());
    let port = phone.address().port();
    // Marks that mean something in a URI, escaped so that they are of the user's name.
    let path = format!(
        "/callcontroller/a%3Cb%3E%22%23c%25d%40127.0.0.1:{port}/u%3Fx%3Dy%3Blr?agent=user1&subject=%3Ca%3E%3B%22%25"
    );
    assert_eq!(server.trusted("POST", &path).status, 200);
    let invite = phone.hear("INVITE");
    let line = format!("INVITE sip:a%3Cb%3E%22%23c%25d@127.0.0.1:{port} SIP/2.0\r\n");
    assert!(invite.text.starts_with(&line), "{}", invite.text);
    assert_eq!(invite.field("To"), format!("<sip:a%3Cb%3E%22%23c%25d@127.0.0.1:{port}>"));
    assert_eq!(invite.field("Subject"), "<a>;\"%");
    for bad in [
        format!("/callcontroller/phone%0d%0aX-Evil:1%40127.0.0.1:{port}/user2?agent=user1"),
        format!("/callcontroller/phone%40127.0.0.1:{port}%3FX-Evil=1/user2?agent=user1"),
        format!("/callcontroller/phone%40127.0.0.1:{port}%3Btransport=tcp/user2?agent=user1"),
        format!("/callcontroller/phone%40127.0.0.1:{port}/user2%0aX-Evil:1?agent=user1"),
        format!("/callcontroller/phone%40127.0.0.1:{port}/user2%40h%3E?agent=user1"),
        format!("{}&subject=a%0d%0aX-Evil:%201", phone.path()),
        format!("{}&subject=a%00b", phone.path()),
        format!("{}&confpin=1%26X-Evil=1", phone.path()),
    ] {
        let reply = server.trusted("POST", &bad);
        assert_eq!(reply.status, 400, "{bad}: {reply:?}");
        assert!(!reply.head.contains("X-Evil"), "{bad}: {reply:?}");
    }
}
