//! Targets over text: URIs, authentication, configuration.

use std::net::SocketAddr;

use cordboard_core::config::Config;
use cordboard_core::digest::Verifiers;
use cordboard_core::fuzzing::{answer_challenge, authentication, log_in};
use cordboard_core::io::{Datagram, Input, Outbox, SocketId, Wake};
use cordboard_core::sip::message::{Host, NameAddr, Params, Uri, Via, escape_user, parse};
use cordboard_core::users::{Directory, SipCredentials, User, import_sipxecs};
use cordboard_core::{Controller, Epoch, Seed, Tick};

/// Any text as a URI, as two of them that are compared, as a name-addr, a Via value and a list of parameters.
pub fn sip_uri(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (one, other) = text.split_once('\n').unwrap_or((text, text));
    if let Ok(uri) = Uri::parse(one) {
        assert_eq!(uri.raw, one);
        assert!(uri.scheme.is_sip() || uri.host == Host::Name(""));
        if let Some(address) = uri.address() {
            assert_eq!(Some(address.ip()), uri.host.address());
        }
        if let Ok(other) = Uri::parse(other) {
            assert_eq!(uri.equals(&other), other.equals(&uri), "who is asked does not matter");
        }
        let bracketed = format!("<{one}>;tag=1");
        let name_addr = NameAddr::parse(&bracketed).expect("a URI fits between brackets");
        assert_eq!((name_addr.uri, name_addr.tag()), (uri, Some("1")));
        if let Some(user) = uri.user_unescaped().filter(|_| uri.scheme.is_sip()) {
            let written = format!("sip:{}@example.com", escape_user(&user));
            let read = Uri::parse(&written).expect("what is escaped can be read");
            assert_eq!(read.user_unescaped().as_deref(), Some(&*user));
        }
    }
    if let Ok(name_addr) = NameAddr::parse(text) {
        assert!(name_addr.raw.starts_with(name_addr.without_params()));
        let again = NameAddr::parse(name_addr.raw).expect("it can be read again");
        assert_eq!(again, name_addr);
    }
    if let Ok(via) = Via::parse(text) {
        assert!(via.raw.len() <= text.len() && via.branch().is_none_or(|branch| !branch.is_empty()));
        assert!(via.rport().is_none() || via.params.get("rport").is_some());
    }
    for (name, _) in Params::new(text).iter() {
        assert!(Params::new(text).get(name).is_some(), "a parameter that is listed is found");
    }
}

/// The secret of everybody here: nobody guesses it.
const SECRET: &str = "b7c1f05e9ad2483c8e6f";
/// The realm of everybody here.
const REALM: &str = "r";

/// Any text as the challenge of a SIP server and as the credentials of somebody who logs in by HTTP.
pub fn digest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let credentials = SipCredentials {
        username: "b\"o\\b".into(),
        realm: REALM.into(),
        verifiers: Verifiers::of("b\"o\\b", REALM, SECRET),
    };
    if let Some(line) = answer_challenge(text, &credentials) {
        answers(text, &line);
    }
    let user = User::new("user1", REALM, SECRET).with_aliases(vec!["201".into()]);
    let users = Directory::new(vec![user], REALM).expect("the users are right");
    match log_in(text, &users, REALM) {
        Ok(user) => panic!("{user} has logged in without the secret"),
        Err(challenges) => {
            for challenge in challenges {
                let realms = authentication(&challenge, "realm").expect("our challenges can be read");
                assert_eq!(realms, [Some(REALM.to_owned())]);
            }
        }
    }
}

/// Our answer is one header field that a SIP server can read, about the nonce that it has sent.
fn answers(challenge: &str, line: &[u8]) {
    let head = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
                To: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n";
    let message = [head.as_bytes(), line, b"\r\n"].concat();
    let Ok(cordboard_core::sip::message::Message::Request(request)) = parse(&message) else {
        panic!("our answer cannot be read: {}", line.escape_ascii())
    };
    assert_eq!(request.header_count(), 6, "it is one header field");
    let value = request.other("Proxy-Authorization").expect("it answers a proxy");
    let one = |name: &str| match authentication(value, name).expect("it can be read").as_slice() {
        [value] => value.clone(),
        all => panic!("{} credentials", all.len()),
    };
    assert_eq!(one("username").as_deref(), Some("b\"o\\b"));
    assert_eq!(one("realm").as_deref(), Some(REALM));
    let nonces = authentication(challenge, "nonce").expect("it was read before");
    let harmless = |nonce: &Option<String>| nonce.as_ref().map(|n| n.replace(['\r', '\n', '\0'], " "));
    assert!(
        nonces.iter().any(|nonce| harmless(nonce) == one("nonce")),
        "it is about a nonce of the challenge"
    );
}

/// Any text as a configuration, whose print reads as the same and with which a controller runs; and as users files.
pub fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match Config::from_toml(&text) {
        Ok(config) => {
            let printed = config.print();
            let again = Config::from_toml(&printed);
            assert_eq!(again.as_ref(), Ok(&config), "{printed}");
            runs(config);
        }
        Err(error) => {
            let place = error.place();
            let lines = text.split('\n').count();
            assert!((1..=lines).contains(&place.line) && place.column >= 1, "{error}");
        }
    }
    if let Err(error) = Directory::from_toml(&text, REALM) {
        assert!(!error.to_string().is_empty());
    }
    if let Ok(imported) = import_sipxecs(&text, REALM) {
        assert!(imported.users.iter().all(|user| !user.name().is_empty()));
    }
}

fn runs(config: Config) {
    let users = Directory::new(vec![User::new("user1", config.realm(), "1")], config.realm());
    let users = users.expect("the users are right");
    let Ok(mut controller) = Controller::new(config, users, Seed([1; 32]), Epoch::from_unix_millis(0)) else {
        return;
    };
    let bytes =
        b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
                  To: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n";
    let datagram = Datagram { socket: SocketId(0), from: SocketAddr::from(([192, 0, 2, 1], 5060)), bytes };
    let mut outbox = Outbox::new();
    let wake = controller.handle(Tick::ZERO, Input::Datagram(datagram), &mut outbox);
    assert!(!matches!(wake, Wake::At(Tick::ZERO, _)), "one datagram is no more than one turn's work");
    controller.audit().expect("the tables agree");
}
