use super::*;

fn read(query: &str) -> Result<Parameters<'_>, Error> {
    Parameters::read(query, b"")
}

#[test]
fn without_parameters_the_defaults_hold() {
    let expected = Parameters {
        method: SipMethod::Refer,
        doing: Doing::Call,
        timeout: None,
        agent: None,
        subject: None,
        forwarding: Forwarding::Forbidden,
        cache_time: None,
        answering: Answering::Manual,
        confpin: None,
        ignored: Ignored::default(),
    };
    assert_eq!(read(""), Ok(expected.clone()));
    assert_eq!(read("&&"), Ok(expected));
}

#[test]
fn every_parameter_takes_its_values() {
    type Check = fn(&Parameters<'_>) -> bool;
    let cases: &[(&str, Check)] = &[
        ("sipMethod=REFER", |p| p.method == SipMethod::Refer),
        ("sipMethod=refer", |p| p.method == SipMethod::Refer),
        ("sipMethod=Invite", |p| p.method == SipMethod::Invite),
        ("action=call", |p| p.doing == Doing::Call),
        ("action=CALL", |p| p.doing == Doing::Call),
        ("action=Transfer&target=user3", |p| p.doing == Doing::Transfer("user3".into())),
        ("target=a%40b&action=transfer", |p| p.doing == Doing::Transfer("a@b".into())),
        ("timeout=1", |p| p.timeout == Some(Duration::from_secs(1))),
        ("timeout=3600", |p| p.timeout == Some(Duration::from_secs(3600))),
        ("timeout=0030", |p| p.timeout == Some(Duration::from_secs(30))),
        ("agent=user1", |p| p.agent.as_deref() == Some("user1")),
        ("subject=Call+back%21%20%C3%A4", |p| p.subject.as_deref() == Some("Call back! ä")),
        ("subject=+a+", |p| p.subject.as_deref() == Some("a")),
        ("subject=%22%3B%2C", |p| p.subject.as_deref() == Some("\";,")),
        ("isForwardingAllowed=true", |p| p.forwarding == Forwarding::Allowed),
        ("isForwardingAllowed=FALSE", |p| p.forwarding == Forwarding::Forbidden),
        ("resultCacheTime=0", |p| p.cache_time == Some(Duration::ZERO)),
        ("resultCacheTime=86400", |p| p.cache_time == Some(Duration::from_secs(86_400))),
        ("autoAnswer=True", |p| p.answering == Answering::Auto),
        ("autoAnswer=false", |p| p.answering == Answering::Manual),
        ("confpin=007", |p| p.confpin.as_deref() == Some("007")),
    ];
    for (query, check) in cases {
        let parameters = read(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        assert!(check(&parameters), "{query}: {parameters:?}");
        assert!(parameters.ignored.is_empty(), "{query}");
        assert_eq!(Parameters::read("", query.as_bytes()), Ok(parameters), "{query} in the body");
    }
}

#[test]
fn other_values_are_refused_naming_the_parameter_and_what_is_allowed() {
    for (query, name, allowed) in [
        ("sipMethod=BYE", "sipMethod", "REFER or INVITE"),
        ("action=hangup", "action", "call or transfer"),
        ("action=transfer", "target", "missing"),
        ("timeout=0", "timeout", "from 1 to 3600"),
        ("timeout=3601", "timeout", "from 1 to 3600"),
        ("timeout=-1", "timeout", "from 1 to 3600"),
        ("timeout=%2B1", "timeout", "from 1 to 3600"),
        ("timeout=1.5", "timeout", "from 1 to 3600"),
        ("timeout=1s", "timeout", "from 1 to 3600"),
        ("timeout=+1", "timeout", "from 1 to 3600"),
        ("timeout=%D9%A1", "timeout", "from 1 to 3600"),
        ("timeout=99999999999999999999999", "timeout", "from 1 to 3600"),
        ("resultCacheTime=86401", "resultCacheTime", "from 0 to 86400"),
        ("resultCacheTime=never", "resultCacheTime", "from 0 to 86400"),
        ("isForwardingAllowed=yes", "isForwardingAllowed", "true or false"),
        ("autoAnswer=1", "autoAnswer", "true or false"),
        ("confpin=12a", "confpin", "1 to 32 digits"),
        ("confpin=12%0D%0A", "confpin", "1 to 32 digits"),
        ("confpin=123456789012345678901234567890123", "confpin", "1 to 32 digits"),
        ("subject=a%0D%0AVia:+x", "subject", "control"),
        ("subject=a%0A", "subject", "control"),
        ("subject=a%00b", "subject", "control"),
        ("subject=a%7F", "subject", "control"),
        ("subject=a%C2%85b", "subject", "control"),
        ("%zz=1", "the query", "hexadecimal"),
        ("subject=%ff", "the query", "UTF-8"),
    ] {
        let error = read(query).expect_err(query);
        assert_eq!(error.status(), 400, "{query}");
        let text = error.to_string();
        assert!(text.contains(name) && text.contains(allowed), "{query}: {text}");
    }
    let long = format!("subject={}", "x".repeat(257));
    assert!(read(&long).unwrap_err().to_string().contains("256 bytes"));
    assert!(read(long.get(..long.len() - 1).unwrap()).is_ok());
}

const NAMES: [&str; 10] = [
    "sipMethod",
    "action",
    "target",
    "timeout",
    "agent",
    "subject",
    "isForwardingAllowed",
    "resultCacheTime",
    "autoAnswer",
    "confpin",
];

#[test]
fn no_parameter_may_be_empty_or_there_twice() {
    for name in NAMES {
        for empty in [format!("{name}="), name.to_owned(), format!("{name}=+%20")] {
            assert_eq!(read(&empty), Err(Error::BadParameter { name, why: "is empty" }), "{empty}");
        }
        let once = format!("{name}=1");
        assert_eq!(read(&format!("{once}&{once}")), Err(Error::Twice(name)));
        assert_eq!(Parameters::read(&once, once.as_bytes()), Err(Error::Twice(name)));
        assert_eq!(Parameters::read("", format!("{once}&{once}").as_bytes()), Err(Error::Twice(name)));
    }
}

#[test]
fn query_and_body_count_alike() {
    let parameters = Parameters::read("timeout=5&x=", b"subject=a&y&agent=user2").unwrap();
    assert_eq!(parameters.timeout, Some(Duration::from_secs(5)));
    assert_eq!((parameters.subject.as_deref(), parameters.agent.as_deref()), (Some("a"), Some("user2")));
    assert_eq!(parameters.ignored.to_string(), "x, y");
    assert!(Parameters::read("", b"%").unwrap_err().to_string().contains("the body"));
}

#[test]
fn what_means_nothing_is_ignored_but_named() {
    let ignored = |query: &str| read(query).unwrap().ignored.to_string();
    assert_eq!(ignored("sipmethod=INVITE&verbose&verbose=2&Timeout=1"), "sipmethod, verbose, Timeout");
    assert_eq!(ignored("target=user3"), "target");
    assert_eq!(ignored("action=call&target=user3&a=b"), "a, target");
    assert_eq!(ignored("a%0D%0ASet-Cookie:+x=1&%C3%A9,%22=1&=1"), "a__Set-Cookie__x, ___, _");
    assert_eq!(ignored(&format!("{}=1", "n".repeat(1000))), "n".repeat(40));
    let many: Vec<String> = (0..1000).map(|number| format!("p{number}=1")).collect();
    let named = ignored(&many.join("&"));
    assert!(named.ends_with("p15, ...") && named.len() < 100, "{named}");
}

#[test]
fn get_looks_for_the_agent_only() {
    assert_eq!(agent("timeout=x&%zz&agent=user%31&agen=1").unwrap().as_deref(), Some("user1"));
    assert_eq!(agent("sipMethod=").unwrap(), None);
    assert_eq!(agent("agent="), Err(Error::BadParameter { name: "agent", why: "is empty" }));
    assert_eq!(agent("agent=a&agent=b"), Err(Error::Twice("agent")));
}
