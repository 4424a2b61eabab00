//! Who is let in, and who may do what.

use crate::credentials::{Credentials, parameter};
use crate::phone::Phone;
use crate::{guarded, plain, stranger, trusted};
use cordboard_tests::cordboard::Cordboard;
use cordboard_tests::curl::Reply;
use cordboard_tests::wait_for;

const PATH: &str = "/callcontroller/user1/user2";

/// A login by curl from an address that is not trusted.
fn login(server: &Cordboard, user: &str, path: &str) -> Reply {
    stranger(server, &["--digest", "-u", user], path)
}

/// A request with this Authorization from an address that is not trusted.
fn with(server: &Cordboard, method: &str, authorization: &str, path: &str) -> Reply {
    stranger(server, &["-X", method, "-H", &format!("Authorization: {authorization}")], path)
}

/// The nonce of a fresh challenge.
fn nonce(server: &Cordboard) -> String {
    let reply = stranger(server, &[], PATH);
    assert_eq!(reply.status, 401, "{reply:?}");
    let challenge = reply.header("WWW-Authenticate").expect("there is a challenge");
    parameter(challenge, "nonce").expect("a challenge has a nonce").to_owned()
}

fn algorithms(reply: &Reply) -> Vec<&str> {
    reply.headers("WWW-Authenticate").filter_map(|challenge| parameter(challenge, "algorithm")).collect()
}

#[test]
fn only_a_trusted_host_over_https_needs_no_login() {
    let server = guarded("");
    assert_eq!(trusted(&server, &[], PATH).status, 200);
    for reply in [stranger(&server, &[], PATH), plain(&server, &[], PATH)] {
        assert_eq!(reply.status, 401, "{reply:?}");
        assert_eq!(algorithms(&reply), ["SHA-256", "SHA-512-256", "MD5"]);
        for challenge in reply.headers("WWW-Authenticate") {
            assert!(challenge.starts_with("Digest realm=\"example.com\", nonce=\""), "{challenge}");
            assert!(challenge.contains("qop=\"auth, auth-int\""), "{challenge}");
        }
    }
    assert_eq!(plain(&server, &["--digest", "-u", "user1:11"], PATH).status, 200);
}

#[test]
fn curl_logs_in_with_each_algorithm_that_it_has_and_the_answer_proves_the_server() {
    for algorithms in
        ["", "algorithms = [\"MD5\"]", "algorithms = [\"SHA-256\"]", "algorithms = [\"MD5\", \"SHA-256\"]"]
    {
        let (server, phone) = (guarded(algorithms), Phone::new());
        let reply = login(&server, "user1:11", PATH);
        assert_eq!(reply.status, 200, "{algorithms}: {reply:?}");
        let info = reply.header("Authentication-Info").expect("the server proves itself");
        assert!(parameter(info, "rspauth").is_some_and(|proof| !proof.is_empty()), "{info}");
        let reply = stranger(&server, &["--digest", "-u", "user1:11", "-d", "timeout=60"], &phone.pair());
        assert_eq!(reply.status, 403, "{algorithms}: the phone is no user: {reply:?}");
        let reply = stranger(&server, &["--digest", "-u", "user1:11", "-d", "timeout=60"], &phone.path());
        assert_eq!((reply.status, reply.body.as_str()), (200, ""), "{algorithms}: {reply:?}");
        phone.hear("INVITE");
    }
}

/// curl before 8.8 computes SHA-512-256 as SHA-256, so openssl stands in for it.
#[test]
fn each_algorithm_is_the_one_that_openssl_computes() {
    for algorithm in ["MD5", "SHA-256", "SHA-512-256"] {
        let server = guarded(&format!("algorithms = [\"{algorithm}\"]"));
        assert_eq!(algorithms(&stranger(&server, &[], PATH)), [algorithm]);
        let nonce = nonce(&server);
        let mut credentials = Credentials::new(algorithm, "GET", PATH);
        assert_eq!(with(&server, "GET", &credentials.answer(&nonce), PATH).status, 200, "{algorithm}");
        credentials.count = 2;
        credentials.body = Some("");
        assert_eq!(
            with(&server, "GET", &credentials.answer(&nonce), PATH).status,
            200,
            "{algorithm}, auth-int"
        );
        credentials.count = 3;
        let other = if algorithm == "MD5" { "SHA-256" } else { "MD5" };
        credentials.algorithm = other;
        assert_eq!(
            with(&server, "GET", &credentials.answer(&nonce), PATH).status,
            401,
            "{other} was not offered"
        );
    }
}

#[test]
fn auth_int_covers_the_body() {
    let (server, phone) = (guarded(""), Phone::new());
    let path = phone.path();
    let nonce = nonce(&server);
    for (count, sent, status) in [(1, "timeout=61", 401), (2, "timeout=60", 200)] {
        let body = Some("timeout=60");
        let credentials = Credentials { body, count, ..Credentials::new("SHA-256", "POST", &path) };
        let authorization = format!("Authorization: {}", credentials.answer(&nonce));
        let reply = stranger(&server, &["-H", &authorization, "-d", sent], &path);
        assert_eq!(reply.status, status, "{sent}: {reply:?}");
    }
}

#[test]
fn a_request_that_is_replayed_is_stale_and_one_made_for_another_is_refused() {
    let server = guarded("");
    let nonce = nonce(&server);
    let authorization = Credentials::new("SHA-256", "GET", PATH).answer(&nonce);
    assert_eq!(with(&server, "GET", &authorization, PATH).status, 200);
    let reply = with(&server, "GET", &authorization, PATH);
    assert_eq!(reply.status, 401, "{reply:?}");
    assert!(reply.headers("WWW-Authenticate").all(|challenge| challenge.contains("stale=true")), "{reply:?}");
    let next = Credentials { count: 2, ..Credentials::new("SHA-256", "GET", PATH) }.answer(&nonce);
    assert_eq!(with(&server, "GET", &next, "/callcontroller/user1/user3").status, 400);
    assert_eq!(with(&server, "DELETE", &next, PATH).status, 401);
    assert_eq!(with(&server, "GET", &next, PATH).status, 200, "the failures have used nothing up");
}

#[test]
fn a_nonce_lives_as_long_as_configured() {
    let server = guarded("nonce_lifetime = \"1s\"");
    let nonce = nonce(&server);
    let mut count = 0;
    let reply = wait_for("the end of the nonce", || {
        count += 1;
        let credentials = Credentials { count, ..Credentials::new("SHA-256", "GET", PATH) };
        let reply = with(&server, "GET", &credentials.answer(&nonce), PATH);
        (reply.status != 200).then_some(reply)
    });
    assert_eq!(reply.status, 401);
    assert!(
        reply.header("WWW-Authenticate").is_some_and(|challenge| challenge.contains("stale=true")),
        "{reply:?}"
    );
}

#[test]
fn basic_is_taken_over_https_only_and_only_where_it_is_wanted() {
    let basic = ["--basic", "-u", "user1:11"];
    let server = guarded("");
    for reply in [stranger(&server, &basic, PATH), plain(&server, &basic, PATH)] {
        assert_eq!(reply.status, 401, "{reply:?}");
        assert!(
            reply.headers("WWW-Authenticate").all(|challenge| challenge.starts_with("Digest ")),
            "{reply:?}"
        );
    }
    let server = guarded("basic_over_https = true");
    assert_eq!(stranger(&server, &basic, PATH).status, 200);
    assert_eq!(stranger(&server, &["--basic", "-u", "user1:22"], PATH).status, 401);
    assert_eq!(login(&server, "user1:11", PATH).status, 200);
    let reply = stranger(&server, &[], PATH);
    assert!(reply.headers("WWW-Authenticate").any(|challenge| challenge.starts_with("Basic ")), "{reply:?}");
    let reply = plain(&server, &basic, PATH);
    assert_eq!(reply.status, 401, "{reply:?}");
    assert!(reply.headers("WWW-Authenticate").all(|challenge| challenge.starts_with("Digest ")), "{reply:?}");
}

/// What differs between any two answers taken out.
fn shape(reply: &Reply) -> String {
    let nonce = reply
        .header("WWW-Authenticate")
        .and_then(|challenge| parameter(challenge, "nonce"))
        .unwrap_or_default();
    let text = format!("{}\n{}", reply.head, reply.body).replace(nonce, "NONCE");
    text.lines().filter(|line| !line.starts_with("Date:")).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_wrong_pin_and_an_unknown_user_look_the_same() {
    let server = guarded("");
    let wrong = login(&server, "user1:12", PATH);
    let unknown = login(&server, "nobody:12", PATH);
    assert_eq!(wrong.status, 401);
    assert_eq!(shape(&wrong), shape(&unknown));
}

#[test]
fn an_address_that_fails_again_and_again_has_to_wait_and_is_logged() {
    let mut server = guarded("");
    let from = |user: &str, address: &str| {
        let url = format!("https://{}{PATH}", server.https);
        cordboard_tests::curl::curl(&["--interface", address, "--digest", "-u", user, &url])
    };
    let mut failures = 0;
    let reply = loop {
        let reply = from("user1:99", "127.0.0.3");
        if reply.status == 429 {
            break reply;
        }
        assert_eq!(reply.status, 401, "{reply:?}");
        failures += 1;
        assert!(failures < 30, "nobody slows this down");
    };
    assert!(failures >= 5, "{failures} failures are too few");
    let seconds: u32 =
        reply.header("Retry-After").and_then(|text| text.parse().ok()).expect("it is told how long");
    assert!((1..=60).contains(&seconds), "{reply:?}");
    assert!(reply.body.contains("<error-code>429</error-code>"), "{reply:?}");
    assert_eq!(from("user1:11", "127.0.0.2").status, 200, "others do not wait");
    wait_for("the end of the wait", || (from("user1:11", "127.0.0.3").status == 200).then_some(()));
    server
        .process
        .wait_said("who failed", |said| said.contains("login failed from=127.0.0.3 user=\"").then_some(()));
    assert!(!server.process.said().contains("from=127.0.0.2"), "{}", server.process.said());
}

#[test]
fn the_line_for_fail2ban_names_whoever_does_not_hide_the_name() {
    let mut server = guarded("");
    let nonce = nonce(&server);
    let credentials = Credentials { user: "eve", ..Credentials::new("MD5", "GET", PATH) };
    assert_eq!(with(&server, "GET", &credentials.answer(&nonce), PATH).status, 401);
    let line = server.process.wait_said("who failed", |said| {
        said.lines().find(|line| line.contains("login failed")).map(str::to_owned)
    });
    assert!(line.ends_with("login failed from=127.0.0.2 user=\"eve\""), "{line}");
    assert!(line.contains(" WARN "), "{line}");
}

#[test]
fn whoever_logs_in_acts_for_nobody_else_unless_that_is_allowed() {
    let (server, phone) = (guarded(""), Phone::new());
    let post = |user: &str, agent: &str| {
        stranger(&server, &["--digest", "-u", user, "-X", "POST"], &format!("{}?agent={agent}", phone.pair()))
    };
    for (user, agent, status) in [
        ("user1:11", "user2", 403),
        ("user1:11", "nobody", 403),
        ("user1:11", "desk", 403),
        ("desk:33", "user2", 403),
        ("desk:33", "user1", 200),
        ("robot:44", "user2", 200),
        ("user1:11", "201", 409),
    ] {
        let reply = post(user, agent);
        assert_eq!(reply.status, status, "{user} for {agent}: {reply:?}");
    }
    let body = post("user1:11", "user2").body;
    assert!(body.contains("user1 may not act as agent user2"), "{body}");
    assert_eq!(
        body,
        post("user1:11", "nobody").body.replace("nobody", "user2"),
        "whether there is one is not told"
    );
}

#[test]
fn a_trusted_host_that_names_an_unknown_agent_is_refused() {
    let (server, phone) = (guarded(""), Phone::new());
    for path in [phone.pair(), format!("{}?agent=nobody", phone.pair())] {
        let reply = trusted(&server, &["-X", "POST"], &path);
        assert_eq!(reply.status, 403, "{path}: {reply:?}");
        assert!(reply.body.contains("<error-code>403</error-code>"), "{reply:?}");
    }
}

#[test]
fn a_call_is_shown_to_and_ended_by_those_only_who_may_act_for_its_agent() {
    let (server, phone) = (guarded(""), Phone::new());
    let reply = trusted(&server, &["-X", "POST"], &phone.path());
    let location = reply.header("Location").expect("the call has a place").to_owned();
    for (user, status, listed) in
        [("user2:22", 404, 0), ("user1:11", 200, 1), ("desk:33", 200, 1), ("robot:44", 200, 1)]
    {
        assert_eq!(login(&server, user, &location).status, status, "{user}");
        let list: serde_json::Value =
            serde_json::from_str(&login(&server, user, "/calls").body).expect("JSON");
        assert_eq!(list["calls"].as_array().map(Vec::len), Some(listed), "{user}: {list}");
    }
    let delete =
        |user: &str, path: &str| stranger(&server, &["--digest", "-u", user, "-X", "DELETE"], path).status;
    assert_eq!(delete("user2:22", &location), 404);
    assert_eq!(delete("user2:22", &phone.path()), 404);
    assert_eq!(delete("user1:11", &phone.path()), 204);
}

#[test]
fn authorization_that_cannot_be_read_is_refused() {
    let server = guarded("");
    for authorization in ["Digest", "Digest username", "Digest username=\"user1\"", "Digest a=\"b"] {
        assert_eq!(with(&server, "GET", authorization, PATH).status, 400, "{authorization}");
    }
    for authorization in ["Bearer x", "", "Negotiate abc"] {
        assert_eq!(with(&server, "GET", authorization, PATH).status, 401, "{authorization}");
    }
}
