use super::*;

const LEAST: &str = "[sip]\ndomain = \"example.com\"\n";

fn error(text: &str) -> String {
    Config::from_toml(text).unwrap_err().to_string()
}

/// The fault of the least configuration with these lines behind it; the first of them is line 3.
fn fault(lines: &str) -> String {
    error(&format!("{LEAST}{lines}\n"))
}

#[test]
fn only_the_domain_is_needed() {
    let config = Config::from_toml(LEAST).unwrap();
    assert_eq!(config, Config::new("example.com"));
    assert_eq!(config.realm(), "example.com");
    assert!(
        config.trusts("127.0.0.9".parse().unwrap()) && config.trusts("::ffff:127.0.0.1".parse().unwrap())
    );
    assert!(config.trusts("::1".parse().unwrap()) && !config.trusts("192.0.2.1".parse().unwrap()));
}

#[test]
fn a_missing_domain_is_named_with_what_to_write() {
    let right = "write domain = \"example.com\", your own SIP domain, below [sip]";
    assert_eq!(error(""), format!("sip.domain: is missing, line 1 column 1; {right}"));
    assert_eq!(error("\n[sip]\nt1 = \"1s\"\n"), format!("sip.domain: is missing, line 2 column 2; {right}"));
}

#[test]
fn the_defaults_are_those_of_the_specification() {
    let config = Config::new("example.com");
    assert_eq!(config.calls.timeout, Duration::from_secs(180));
    assert_eq!(config.calls.result_cache_time, Duration::from_secs(180));
    assert_eq!((config.sip.t1, config.sip.t2, config.sip.t4), {
        (Duration::from_millis(500), Duration::from_secs(4), Duration::from_secs(5))
    });
    assert_eq!((config.limits.http_head, config.limits.http_body), (16_384, 65_536));
    assert_eq!(
        (config.limits.connections, config.limits.pipelined, config.limits.record_events),
        (1024, 64, 64)
    );
}

#[test]
fn every_key_of_the_specification_is_read() {
    let text = r#"
[http]
https = ["127.0.0.1:7666", "[::1]:7666"]
http = []
certificate = "cert.pem"
key = "key.pem"
trusted = ["10.0.0.0/8", "192.0.2.7"]
[auth]
realm = "pbx"
algorithms = ["MD5"]
nonce_lifetime = "90s"
basic_over_https = true
[sip]
domain = "example.com"
listen = ["udp:0.0.0.0:6050", "udp:[::1]:0"]
advertise = "192.0.2.1"
proxy = "sip:127.0.0.1:5060;transport=udp"
dialect = "sipx"
t1 = "50ms"
t2 = "400ms"
t4 = "500ms"
[calls]
max_calls = 10
timeout = "20s"
result_cache_time = "0s"
hold_sdp = ["nomedia", "inactive"]
identity = "party"
asserted_identity = true
trusted_proxy = ["127.0.0.1"]
refer_hangup = "ringing"
refer_fallback = "invite"
session_expires = "off"
[users]
file = "/etc/cordboard/users.toml"
[limits]
http_head = 4096
http_body = 0x1000
http_headers = 32
request_time = "2s"
idle_time = "500ms"
connections = 2
pipelined = 1
sip_message = 8192
sip_headers = 64
record_events = 8
"#;
    let config = Config::from_toml(text).unwrap();
    assert_eq!(config.http.https.len(), 2);
    assert!(config.http.http.is_empty() && !config.trusts("127.0.0.1".parse().unwrap()));
    assert_eq!(config.realm(), "pbx");
    assert_eq!(
        config.sip.proxy.as_ref().map(ToString::to_string).as_deref(),
        Some("sip:127.0.0.1:5060;transport=udp")
    );
    assert_eq!(config.calls.hold_sdp, [HoldSdp::Nomedia, HoldSdp::Inactive]);
    assert_eq!((config.calls.identity, config.calls.session_expires), (Identity::Party, None));
    assert_eq!(config.limits.http_body, 4096);
    assert_eq!(Config::from_toml(&config.print()), Ok(config));
}

#[test]
fn what_is_printed_is_read_as_the_same_and_names_every_key() {
    let mut config = Config::new("example.com");
    let printed = config.print();
    assert_eq!(Config::from_toml(&printed).as_ref(), Ok(&config), "{printed}");
    for line in
        ["timeout = \"180s\"", "nonce_lifetime = \"5m\"", "# realm = ", "# proxy = \"sip:", "t1 = \"500ms\""]
    {
        assert!(printed.contains(line), "{line} is not in {printed}");
    }
    config.http.certificate = Some("a \"quoted\" \\ päth.pem".to_owned());
    config.http.key = Some("k".to_owned());
    assert_eq!(Config::from_toml(&config.print()), Ok(config));
}

#[test]
fn the_commented_examples_can_be_switched_on() {
    let printed = Config::new("example.com").print();
    let lines: Vec<_> = printed
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.split(' ').nth(1) == Some("=") => rest,
            _ => line,
        })
        .collect();
    let config = Config::from_toml(&lines.join("\n")).unwrap();
    assert!(config.http.certificate.is_some() && config.sip.proxy.is_some() && config.sip.ca.is_some());
}

#[test]
fn an_unknown_key_is_refused_by_name_with_its_place_and_what_was_meant() {
    assert_eq!(fault("prxy = \"x\""), "unknown key `prxy` in [sip], line 3 column 1; did you mean `proxy`?");
    assert_eq!(
        fault("  timeout = \"3s\""),
        "unknown key `timeout` in [sip], line 3 column 3; it belongs in [calls]"
    );
    assert_eq!(fault("whatever = 1"), "unknown key `whatever` in [sip], line 3 column 1");
    assert_eq!(fault("[htp]\nhttp = []"), "unknown table [htp], line 3 column 2; did you mean [http]?");
    let outside = error("domain = \"example.com\"\n");
    assert_eq!(outside, "unknown key `domain` outside of any table, line 1 column 1; it belongs in [sip]");
}

#[test]
fn of_several_faults_the_first_in_the_text_is_told() {
    let text = "[sip]\nt1 = 5\nzzz = 1\n[auth]\nbogus = 1\n";
    assert!(error(text).starts_with("sip.t1: here stands a number, line 2 column 6; write a span of time"));
}

#[test]
fn what_is_not_toml_is_told_with_its_place() {
    let told = error("[sip]\ndomain = example.com\n");
    assert!(told.starts_with("this is not TOML, line 2 column "), "{told}");
    let told = error("[sip]\ndomain = \"a\"\ndomain = \"b\"\n");
    assert!(told.starts_with("this is not TOML, line 3 column 1: duplicate key"), "{told}");
    assert!(!error("[sip\n").contains('\n'));
}

#[test]
fn a_value_of_the_wrong_kind_is_told_with_what_would_be_right() {
    let duration = "a span of time like \"500ms\", \"10s\", \"5m\" or \"1h\"";
    for (lines, told) in [
        ("[calls]\ntimeout = 180", format!("calls.timeout: here stands a number, line 4 column 11; write {duration}")),
        ("[calls]\ntimeout = \"soon\"", format!("calls.timeout: \"soon\" is no span of time, line 4 column 11; write {duration}")),
        ("[calls]\nmax_calls = \"9\"", "calls.max_calls: here stands a text, line 4 column 13; write a whole number, without quotes".into()),
        ("[calls]\nmax_calls = -1", "calls.max_calls: -1 is less than 0 or far too much, line 4 column 13; write a whole number, without quotes".into()),
        ("[auth]\nbasic_over_https = \"no\"", "auth.basic_over_https: here stands a text, line 4 column 20; write true or false, without quotes".into()),
        ("[calls]\nidentity = \"me\"", "calls.identity: \"me\" is none of the choices, line 4 column 12; write \"agent\" or \"party\"".into()),
        ("[http]\ntrusted = [\"10.0.0.0/8\", \"x\"]", "http.trusted: \"x\" is no range of addresses, line 4 column 26; write a range of addresses like \"10.0.0.0/8\", or one address".into()),
        ("listen = [\"127.0.0.1:6050\"]", "sip.listen: \"127.0.0.1:6050\" names no transport, line 3 column 11; write a transport and an address, like \"udp:127.0.0.1:6050\" or \"udp:[::1]:6050\"".into()),
        ("[[users]]\nfile = \"x\"", "users: here stands a list, line 3 column 3; write [users] on a line of its own, once, and the keys below".into()),
    ] {
        assert_eq!(fault(lines), told);
    }
}

#[test]
fn a_value_out_of_its_range_is_told_with_the_range() {
    for (lines, told) in [
        (
            "[calls]\ntimeout = \"2h\"",
            "calls.timeout: \"2h\" is out of range, line 4 column 11; write from \"1s\" to \"1h\"",
        ),
        (
            "[calls]\ntimeout = \"0s\"",
            "calls.timeout: \"0s\" is out of range, line 4 column 11; write from \"1s\" to \"1h\"",
        ),
        (
            "[calls]\nresult_cache_time = \"25h\"",
            "calls.result_cache_time: \"25h\" is out of range, line 4 column 21; write from \"0s\" to \"24h\"",
        ),
        (
            "[limits]\nhttp_headers = 257",
            "limits.http_headers: 257 is out of range, line 4 column 16; write from 8 to 256",
        ),
        (
            "[calls]\nsession_expires = \"30s\"",
            "calls.session_expires: is out of range, line 4 column 19; write from \"90s\" to \"24h\", or \"off\"",
        ),
    ] {
        assert_eq!(fault(lines), told);
    }
}

#[test]
fn what_cannot_work_is_refused_with_its_place() {
    for (lines, told) in [
        ("listen = [\"udp:0.0.0.0:6050\"]", "sip.listen: \"udp:0.0.0.0:6050\" listens on all addresses"),
        ("listen = [\"udp:[::]:6050\"]", "sip.listen: \"udp:[::]:6050\" listens on all addresses"),
        ("listen = [\"tcp:0.0.0.0:6050\"]", "sip.listen: \"tcp:0.0.0.0:6050\" listens on all addresses"),
        (
            "listen = [\"udp:0.0.0.0:1\", \"udp:[::]:1\"]\nadvertise = \"192.0.2.1\"",
            "sip.listen: \"udp:[::]:1\" listens on all addresses",
        ),
        ("listen = [\"tls:127.0.0.1:6050\"]", "sip.listen: \"tls:127.0.0.1:6050\" needs a certificate"),
        ("certificate = \"x\"", "sip.certificate: has no sip.key beside it"),
        ("key = \"x\"", "sip.key: has no sip.certificate beside it"),
        ("client_certificates = \"perhaps\"", "sip.client_certificates: \"perhaps\" is none of the choices"),
        ("nameservers = [\"dns.test\"]", "sip.nameservers: \"dns.test\" is no address"),
        ("advertise = [\"192.0.2.1\", \"192.0.2.2\"]", "sip.advertise: has two addresses of one family"),
        ("listen = [\"tcp:127.0.0.1:1\", \"tcp:127.0.0.1:1\"]", "sip.listen: 127.0.0.1:1 is there twice"),
        ("listen = []", "sip.listen: is empty"),
        ("listen = [\"udp:127.0.0.1:1\", \"udp:127.0.0.1:1\"]", "sip.listen: 127.0.0.1:1 is there twice"),
        (
            "proxy = \"sip:192.0.2.1;transport=sctp\"",
            "sip.proxy: \"sip:192.0.2.1;transport=sctp\" names an unknown",
        ),
        (
            "proxy = \"sips:192.0.2.1;transport=udp\"",
            "sip.proxy: \"sips:192.0.2.1;transport=udp\" names an unknown",
        ),
        ("advertise = \"0.0.0.0\"", "sip.advertise: \"0.0.0.0\" is every address and none"),
        ("t2 = \"100ms\"", "sip.t2: is shorter than sip.t1"),
        ("[http]\nhttps = []\nhttp = []", "http.https: neither https nor http has an address"),
        ("[http]\ncertificate = \"x\"", "http.certificate: has no http.key beside it, line 4 column 15"),
        ("[http]\nkey = \"x\"", "http.key: has no http.certificate beside it, line 4 column 7"),
        ("[http]\nhttp = [\"127.0.0.1:6666\"]", "http.http: 127.0.0.1:6666 is there twice, line 4 column 8"),
        ("[auth]\nalgorithms = []", "auth.algorithms: is empty"),
        ("[auth]\nalgorithms = [\"MD5\", \"md5\"]", "auth.algorithms: \"MD5\" is there twice"),
        ("[auth]\nrealm = \"a\\r\\nb\"", "auth.realm: \"a\\r\\nb\" has control characters"),
        ("[calls]\nhold_sdp = []", "calls.hold_sdp: is empty"),
        ("[users]\nfile = \"\"", "users.file: \"\" is empty"),
    ] {
        let fault = fault(lines);
        assert!(fault.starts_with(told) && fault.contains(", line "), "{lines}: {fault}");
    }
    for domain in ["a b", "sip:example.com", "user@example.com", "::1", "x\\ny"] {
        let told = error(&format!("[sip]\ndomain = \"{domain}\"\n"));
        assert!(told.starts_with("sip.domain: ") && told.contains("line 2 column 10"), "{told}");
    }
}

#[test]
fn a_wildcard_can_be_listened_on_when_phones_are_told_an_address() {
    let text = format!("{LEAST}listen = [\"udp:0.0.0.0:6050\"]\nadvertise = \"192.0.2.1\"\n");
    assert_eq!(Config::from_toml(&text).unwrap().sip.advertise, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
    let both =
        "listen = [\"udp:0.0.0.0:6050\", \"tcp:[::]:6050\"]\nadvertise = [\"192.0.2.1\", \"2001:db8::1\"]";
    assert_eq!(Config::from_toml(&format!("{LEAST}{both}\n")).unwrap().sip.advertise.len(), 2);
}

#[test]
fn what_may_not_be_meant_is_warned_of() {
    let warnings = |lines: &str| Config::from_toml(&format!("{LEAST}{lines}\n")).unwrap().warnings();
    let proxied = "proxy = \"sip:127.0.0.1\"\n";
    assert_eq!(warnings(proxied), Vec::<String>::new());
    for (lines, key) in [
        (&format!("{proxied}[http]\ntrusted = [\"0.0.0.0/0\"]"), "http.trusted:".to_owned()),
        (&format!("{proxied}[auth]\nalgorithms = [\"MD5\", \"SHA-256\"]"), "auth.algorithms:".to_owned()),
        (&"proxy = \"sip:pbx.test;transport=tcp\"".to_owned(), "sip.proxy: is spoken to by tcp,".to_owned()),
        (&"proxy = \"sips:pbx.test\"".to_owned(), "sip.proxy: is spoken to by tls,".to_owned()),
    ] {
        let warnings = warnings(lines);
        assert!(matches!(warnings.as_slice(), [only] if only.starts_with(&key)), "{lines}: {warnings:?}");
    }
}

#[test]
fn a_name_server_listens_at_port_53_unless_told_otherwise() {
    let text = format!("{LEAST}nameservers = [\"192.0.2.53\", \"::1\", \"[::1]:5353\"]\n");
    let servers = Config::from_toml(&text).unwrap().sip.nameservers;
    let all: Vec<String> = servers.iter().map(|server| server.0.to_string()).collect();
    assert_eq!(all, ["192.0.2.53:53", "[::1]:53", "[::1]:5353"]);
}

#[test]
fn a_proxy_needs_a_socket_of_its_transport() {
    let error = |lines: &str| Config::from_toml(&format!("{LEAST}{lines}\n")).unwrap_err().to_string();
    let told = error("listen = [\"tcp:127.0.0.1:6050\"]\nproxy = \"sip:127.0.0.1\"");
    assert!(told.starts_with("sip.proxy: is spoken to by udp, but sip.listen has no udp address"), "{told}");
    let named = format!("{LEAST}listen = [\"tcp:127.0.0.1:6050\"]\nproxy = \"sip:pbx.test\"\n");
    assert_eq!(Config::from_toml(&named).unwrap().warnings(), Vec::<String>::new(), "the DNS may say tcp");
}

#[test]
fn a_place_counts_characters_from_one() {
    assert_eq!(Place::of("", 0), Place { line: 1, column: 1 });
    assert_eq!(Place::of("ä = 1\nb", 3), Place { line: 1, column: 3 });
    assert_eq!(Place::of("ä = 1\nb", 7), Place { line: 2, column: 1 });
    assert_eq!(Place::of("ab", 99), Place { line: 1, column: 3 });
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(\\[?[a-z_\\[\\]]{0,8}\\]?( = [\"\\[]?[a-z0-9:./é\"-]{0,12}[\"\\]]?)?\n){0,6}") {
        if let Err(error) = Config::from_toml(&text) {
            let lines = text.split('\n').count();
            proptest::prop_assert!(error.place().line >= 1 && error.place().line <= lines, "{}", error);
        }
    }
}

#[test]
fn whatever_stands_where_a_whole_number_should_is_named() {
    let kinds = [
        ("1.5", "a number with a point"),
        ("true", "true or false"),
        ("1979-05-27", "a date"),
        ("[1]", "a list"),
        ("{ a = 1 }", "a table"),
        ("\"1\"", "a text"),
    ];
    for (value, kind) in kinds {
        let said = fault(&format!("[calls]\nmax_calls = {value}"));
        assert!(said.starts_with(&format!("calls.max_calls: here stands {kind}, line 4 ")), "{said}");
    }
    let said = fault("[auth]\nalgorithms = 5");
    assert!(
        said.starts_with("auth.algorithms: here stands a number, line 4 ") && said.contains("a list"),
        "{said}"
    );
}
