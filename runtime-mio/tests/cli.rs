//! The command line as an operator uses it: the real binary in folders of its own.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

const LEAST: &str = "[sip]\ndomain = \"example.com\"\nproxy = \"sip:127.0.0.1\"\n";

/// A folder to run in.
struct Folder(TempDir);

/// What came of a run.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn with_config() -> Self {
        let folder = Self::new();
        folder.write("cordboard.toml", LEAST);
        folder
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.path(file), text).unwrap();
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap()
    }

    fn mode(&self, file: &str) -> u32 {
        self.path(file).metadata().unwrap().permissions().mode() & 0o777
    }

    fn files(&self) -> Vec<String> {
        let mut files: Vec<_> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        files
    }

    /// Runs `cordboard` with these arguments, this on its standard input.
    fn run(&self, arguments: &[&str], input: &str) -> Ran {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cordboard"))
            .args(arguments)
            .current_dir(self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A run that fails early does not read what it is given.
        match child.stdin.take().unwrap().write_all(input.as_bytes()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => panic!("{error}"),
            _ => {}
        }
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Runs what must succeed without a word of complaint; returns what it printed.
    fn succeed(&self, arguments: &[&str], input: &str) -> String {
        let ran = self.run(arguments, input);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{arguments:?}");
        ran.out
    }

    /// Runs what must fail with exit status 1 and one line; returns that line.
    fn fail(&self, arguments: &[&str], input: &str) -> String {
        let ran = self.run(arguments, input);
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{arguments:?}: {}", ran.err);
        assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
        ran.err.trim_end().to_owned()
    }

    fn add(&self, name: &str, more: &[&str]) -> String {
        self.succeed(&[&["user", "add", name, "--stdin"], more].concat(), "123\npw\n")
    }
}

#[test]
fn a_correct_configuration_with_users_is_ok() {
    let folder = Folder::new();
    folder.write("cordboard.toml", &format!("workers = 1\n{LEAST}"));
    folder.add("user1", &[]);
    assert_eq!(folder.succeed(&["check"], ""), "cordboard.toml: ok, 1 user in users.toml\n");
}

#[test]
fn the_ports_of_all_workers_are_told_and_must_exist() {
    let folder = Folder::new();
    let write = |workers: u8, port: u16| {
        let listen = format!("listen = [\"udp:127.0.0.1:{port}\", \"tcp:127.0.0.1:{port}\"]");
        folder.write("cordboard.toml", &format!("workers = {workers}\n{LEAST}{listen}\n"));
    };
    write(2, 6050);
    folder.add("user1", &[]);
    let told = "2 workers take SIP at udp:127.0.0.1:6050, tcp:127.0.0.1:6050, udp:127.0.0.1:6051, tcp:127.0.0.1:6051";
    assert_eq!(folder.succeed(&["check"], ""), format!("cordboard.toml: ok, 1 user in users.toml\n{told}\n"));
    write(3, 65_534);
    assert_eq!(
        folder.fail(&["check"], ""),
        "cordboard: cordboard.toml: there is no port for worker 2 of 3 beside udp:127.0.0.1:65534 (sip.listen): \
         choose lower ports there, or set `workers`"
    );
}

#[test]
fn a_broken_configuration_is_told_with_line_and_column() {
    for (text, told) in [
        ("[sip]\nt1 = \"1s\"\n", "sip.domain: is missing, line 1 column 2; write domain ="),
        (
            "[sip]\ndomain = \"example.com\"\nprxy = 1\n",
            "unknown key `prxy` in [sip], line 3 column 1; did you mean `proxy`?",
        ),
        ("[sip]\ndomain = example.com\n", "this is not TOML, line 2 column "),
        (
            "[sip]\ndomain = \"example.com\"\n[calls]\ntimeout = \"2h\"\n",
            "calls.timeout: \"2h\" is out of range, line 4 column 11;",
        ),
        (
            "[sip]\ndomain = \"example.com\"\nlisten = [\"tls:127.0.0.1:6051\"]\n",
            "sip.listen: \"tls:127.0.0.1:6051\" needs a certificate, line 3 column 10;",
        ),
    ] {
        let folder = Folder::new();
        folder.write("my.toml", text);
        let line = folder.fail(&["check", "--config", "my.toml"], "");
        assert!(line.starts_with(&format!("cordboard: my.toml: {told}")), "{line}");
    }
}

#[test]
fn a_missing_configuration_is_told() {
    let line = Folder::new().fail(&["check"], "");
    assert!(line.starts_with("cordboard: cordboard.toml cannot be read: No such file"), "{line}");
    assert!(line.ends_with("name the configuration with --config"), "{line}");
}

#[test]
fn a_configuration_that_is_not_text_is_told() {
    let folder = Folder::new();
    fs::write(folder.path("cordboard.toml"), b"[sip]\ndomain = \"\xff\"\n").unwrap();
    assert!(folder.fail(&["check"], "").contains("cordboard.toml cannot be read"));
}

#[test]
fn printing_shows_every_key_even_without_users_and_reads_as_the_same() {
    let folder = Folder::with_config();
    let ran = folder.run(&["check", "--print"], "");
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("users.toml cannot be read"), "{}", ran.err);
    assert!(
        ran.out.contains("proxy = \"sip:127.0.0.1\"") && ran.out.contains("record_events = 64"),
        "{}",
        ran.out
    );
    folder.add("user1", &[]);
    folder.write("again.toml", &ran.out);
    assert_eq!(folder.succeed(&["check", "--print", "--config", "again.toml"], ""), ran.out);
}

#[test]
fn broken_users_are_told_with_their_line() {
    let pin = "0".repeat(32);
    for (text, told) in [
        ("[[user]]\nname = \"a\"\npni = 1\n".to_owned(), "line 3, column 1"),
        ("[[user]\n".to_owned(), "line 1, column"),
        (
            "[[user]]\nname = \"a\"\npin = {}\n".to_owned(),
            "a has no PIN: `pin` needs at least one of md5, sha256, sha512_256, line 2 column 8",
        ),
        (
            format!(
                "[[user]]\nname = \"a\"\naliases = [\"1\"]\npin.md5 = \"{pin}\"\n\n[[user]]\nname = \"b\"\naliases = [\"1\"]\npin.md5 = \"{pin}\"\n"
            ),
            "the name or alias \"1\" is both a's and b's, line 7 column 8",
        ),
    ] {
        let folder = Folder::with_config();
        folder.write("users.toml", &text);
        let line = folder.run(&["check"], "").err;
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(line.starts_with("cordboard: users.toml: ") && line.contains(told), "{line}");
    }
}

#[test]
fn missing_certificates_and_users_are_both_told() {
    let folder = Folder::new();
    folder
        .write("cordboard.toml", &format!("{LEAST}[http]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n"));
    let ran = folder.run(&["check"], "");
    assert_eq!(ran.code, Some(1));
    let lines: Vec<_> = ran.err.lines().collect();
    assert!(lines[0].starts_with("cordboard: cert.pem cannot be read"), "{lines:?}");
    assert!(lines[1].starts_with("cordboard: users.toml cannot be read"), "{lines:?}");
}

#[test]
fn files_of_sip_over_tls_that_cannot_be_used_are_told_by_check_and_serve() {
    let folder = Folder::with_config();
    folder.add("user1", &[]);
    let least = LEAST.replace("sip:127.0.0.1", "sip:pbx.test");
    for (keys, told) in [
        (
            "listen = [\"tls:127.0.0.1:0\"]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n",
            "cert.pem cannot be read: ",
        ),
        ("certificate = \"users.toml\"\nkey = \"users.toml\"\n", "users.toml has no certificate in PEM form"),
        ("listen = [\"tcp:127.0.0.1:0\"]\nca = \"ca.pem\"\n", "ca.pem cannot be read: "),
    ] {
        folder.write("cordboard.toml", &format!("{least}{keys}"));
        for command in ["check", "serve"] {
            let line = folder.fail(&[command], "");
            assert!(line.starts_with(&format!("cordboard: {told}")), "{line}");
        }
    }
}

#[test]
fn a_certificate_and_a_key_that_do_not_belong_together_are_told() {
    let folder = Folder::new();
    folder
        .write("cordboard.toml", &format!("{LEAST}[http]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n"));
    folder.add("user1", &[]);
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let other = rcgen::KeyPair::generate().unwrap();
    folder.write("cert.pem", &made.cert.pem());
    folder.write("key.pem", &other.serialize_pem());
    let line = folder.fail(&["check"], "");
    assert!(line.starts_with("cordboard: cert.pem and key.pem cannot be used: "), "{line}");
    folder.write("key.pem", &made.signing_key.serialize_pem());
    assert!(folder.succeed(&["check"], "").contains("ok"));
}

#[test]
fn what_may_not_be_meant_is_warned_of_without_failing() {
    let folder = Folder::with_config();
    folder.succeed(&["user", "add", "user1", "--stdin", "--act-for", "nobody"], "123\n\n");
    fs::set_permissions(folder.path("users.toml"), fs::Permissions::from_mode(0o644)).unwrap();
    let ran = folder.run(&["check"], "");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for told in [
        "anybody on this machine",
        "user1 has no SIP credentials",
        "user1 may act for nobody, who is no user",
    ] {
        assert!(ran.err.contains(told), "{told}: {}", ran.err);
    }
}

#[test]
fn an_added_user_is_written_with_its_secrets_hashed() {
    let folder = Folder::with_config();
    let said = folder
        .add("user1", &["--display-name", "User One", "--alias", "201", "--alias", "301", "--act-for", "*"]);
    assert_eq!(said, "user1 added to users.toml\n");
    let text = folder.read("users.toml");
    for line in [
        "[[user]]\nname = \"user1\"\ndisplay_name = \"User One\"\naliases = [\"201\", \"301\"]\nmay_act_for = [\"*\"]\n",
        // user1:example.com:123 and user1:example.com:pw, by Python's hashlib.
        "pin = { md5 = \"59301aa0b9d1416d92bb254eeda24c04\", sha256 = \"5e062a0ee903b57ddad2cb8636e959a79f68f1d604850fc8f7c7a876542e763f\", sha512_256 = \"9b7006cae3fb64467c6319f0303ab0b4ddaca768d43adc7474d7074960a82a74\" }\n",
        "sip = { username = \"user1\", realm = \"example.com\", md5 = \"ed2e1b9ac2602c1fa55ab393e2e54225\", sha256 = \"8a0921aa05c075bae062e3f021678c288b1129682a968f7ff0ee305c96fa79f5\"",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    assert!(!text.contains("123\"") && !text.contains("\"pw\""));
    assert_eq!(folder.mode("users.toml"), 0o600);
    assert_eq!(folder.files(), ["cordboard.toml", "users.toml"]);
}

#[test]
fn realm_and_file_can_be_given_without_a_configuration() {
    let folder = Folder::new();
    let place = ["--users", "other.toml", "--realm", "example.com"];
    folder.add("user1", &place);
    folder.add("user2", &[&place[..], &["--sip-realm", "asterisk", "--sip-username", "u2"]].concat());
    let text = folder.read("other.toml");
    assert!(text.contains("md5 = \"59301aa0b9d1416d92bb254eeda24c04\""), "{text}");
    assert!(text.contains("sip = { username = \"user1\", realm = \"example.com\""), "{text}");
    assert!(text.contains("sip = { username = \"u2\", realm = \"asterisk\""), "{text}");
    let list = folder.succeed(&["user", "list", "--users", "other.toml"], "");
    assert!(list.contains("user2  -             -        -            u2        asterisk"), "{list}");
    let line = folder.fail(&["user", "add", "user3", "--users", "other.toml", "--stdin"], "1\n\n");
    assert!(
        line.contains("cordboard.toml cannot be read") && line.ends_with("or the realm with --realm"),
        "{line}"
    );
}

#[test]
fn the_realm_of_the_configuration_counts_for_the_pin_and_its_domain_for_sip() {
    let folder = Folder::new();
    folder.write(
        "cordboard.toml",
        &format!("{LEAST}[auth]\nrealm = \"office\"\n[users]\nfile = \"people/all.toml\"\n"),
    );
    fs::create_dir(folder.path("people")).unwrap();
    folder.add("user1", &[]);
    let text = folder.read("people/all.toml");
    assert!(
        !text.contains("59301aa0b9d1416d92bb254eeda24c04") && text.contains("realm = \"example.com\""),
        "{text}"
    );
}

#[test]
fn a_name_or_alias_that_is_taken_is_refused() {
    let folder = Folder::with_config();
    folder.add("user1", &["--alias", "201"]);
    let before = folder.read("users.toml");
    for (arguments, told) in [
        (
            &["user1"][..],
            "users.toml has a user \"user1\" already; `cordboard user passwd user1` changes its PIN",
        ),
        (&["user2", "--alias", "201"], "the name or alias \"201\" is both user1's and user2's"),
        (&["201"], "the name or alias \"201\" is both user1's and 201's"),
        (
            &["a:b"],
            "\"a:b\" cannot be a user name: it is empty, or has a colon, a slash, white space or control characters",
        ),
        (
            &[""],
            "\"\" cannot be a user name: it is empty, or has a colon, a slash, white space or control characters",
        ),
    ] {
        let line = folder.fail(&[&["user", "add", "--stdin"], arguments].concat(), "123\npw\n");
        assert_eq!(line, format!("cordboard: {told}"));
    }
    assert_eq!(folder.read("users.toml"), before);
}

#[test]
fn careless_secrets_are_refused_and_change_nothing() {
    let folder = Folder::with_config();
    for (input, told) in [
        ("\npw\n", "the PIN is empty"),
        ("123\n", "standard input ended before the SIP password"),
        ("", "standard input ended before the PIN"),
        ("1\t2\npw\n", "control characters"),
    ] {
        let line = folder.fail(&["user", "add", "user1", "--stdin"], input);
        assert!(line.contains(told), "{line}");
    }
    let line = folder.fail(&["user", "add", "user1"], "123\npw\n");
    assert!(line.contains("is no terminal: add --stdin"), "{line}");
    assert_eq!(folder.files(), ["cordboard.toml"]);
}

#[test]
fn a_new_pin_keeps_comments_order_and_everything_else() {
    let folder = Folder::with_config();
    let zeros = "0".repeat(32);
    let text = format!(
        "# The office\n\n# Anna, ground floor\n[[user]]\nname = \"anna\" # since 2019\naliases = [ \"201\" ]\npin = {{ md5 = \"{zeros}\" }} # temporary\nsip = {{ username = \"a1\", realm = \"pbx\", md5 = \"{zeros}\" }}\n\n[[user]]\nname = \"bob\"\npin = {{ md5 = \"{zeros}\" }}\n# end\n"
    );
    folder.write("users.toml", &text);
    assert_eq!(
        folder.succeed(&["user", "passwd", "anna", "--stdin"], "9\n\n"),
        "anna changed in users.toml\n"
    );
    let after = folder.read("users.toml");
    let strip = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with("pin")).map(str::to_owned).collect()
    };
    assert_eq!(strip(&after), strip(&text));
    assert!(after.contains(" } # temporary\n") && after.matches(&zeros).count() == 2, "{after}");
    assert_eq!(folder.mode("users.toml"), 0o600);
    // The SIP password is for the user name and realm that are there.
    folder.succeed(&["user", "passwd", "anna", "--stdin"], "9\npw\n");
    let after = folder.read("users.toml");
    assert!(
        after.contains("sip = { username = \"a1\", realm = \"pbx\", md5 = \"")
            && after.contains("sha512_256"),
        "{after}"
    );
}

#[test]
fn a_removed_user_is_gone_and_the_others_stay() {
    let folder = Folder::with_config();
    folder.add("user1", &["--alias", "201"]);
    folder.add("user2", &[]);
    assert_eq!(folder.succeed(&["user", "remove", "user1"], ""), "user1 removed from users.toml\n");
    let list = folder.succeed(&["user", "list"], "");
    assert!(!list.contains("user1") && list.contains("user2"), "{list}");
    folder.succeed(&["user", "remove", "user2"], "");
    assert_eq!(folder.succeed(&["user", "list"], ""), "no users\n");
    folder.add("user1", &[]);
    assert_eq!(folder.read("users.toml").matches("# Users of Cordboard").count(), 1);
}

#[test]
fn users_that_are_not_there_are_told() {
    let folder = Folder::with_config();
    let line = folder.fail(&["user", "list"], "");
    assert!(line.contains("users.toml cannot be read") && line.contains("cordboard user add"), "{line}");
    folder.add("user1", &["--alias", "201"]);
    for command in ["remove", "passwd"] {
        assert_eq!(
            folder.fail(&["user", command, "user9"], ""),
            "cordboard: users.toml has no user \"user9\""
        );
        assert_eq!(
            folder.fail(&["user", command, "201"], ""),
            "cordboard: \"201\" is an alias; the user is user1"
        );
    }
}

#[test]
fn the_list_is_a_table() {
    let folder = Folder::with_config();
    folder.add("user1", &["--display-name", "Üser One", "--alias", "201", "--alias", "301"]);
    folder.succeed(&["user", "add", "bridge", "--stdin", "--act-for", "*"], "123\n\n");
    assert_eq!(
        folder.succeed(&["user", "list"], ""),
        "NAME    DISPLAY NAME  ALIASES  MAY ACT FOR  SIP USER  SIP REALM\n\
         user1   Üser One      201 301  -            user1     example.com\n\
         bridge  -             -        *            -         -\n"
    );
}

#[test]
fn a_broken_users_file_is_not_written_over() {
    let folder = Folder::with_config();
    folder.write("users.toml", "[[user]]\nname = \"a\"\nnonsense = 1\n");
    let line = folder.fail(&["user", "add", "user1", "--stdin"], "123\npw\n");
    assert!(line.starts_with("cordboard: users.toml: ") && line.contains("line 3, column 1"), "{line}");
    assert_eq!(folder.read("users.toml"), "[[user]]\nname = \"a\"\nnonsense = 1\n");
}

#[test]
fn a_link_to_the_users_file_stays_a_link() {
    let folder = Folder::with_config();
    fs::create_dir(folder.path("real")).unwrap();
    folder.write("real/users.toml", "");
    symlink("real/users.toml", folder.path("users.toml")).unwrap();
    folder.add("user1", &[]);
    assert!(folder.path("users.toml").is_symlink());
    assert!(folder.read("real/users.toml").contains("user1"));
    assert_eq!(folder.mode("real/users.toml"), 0o600);
}

#[test]
fn users_added_at_the_same_time_are_all_there() {
    let folder = Folder::with_config();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let folder = &folder;
            scope.spawn(move || folder.add(&format!("user{number}"), &[]));
        }
    });
    assert_eq!(folder.read("users.toml").matches("[[user]]").count(), 8);
}

#[test]
fn the_users_of_sipxecs_are_imported() {
    let folder = Folder::with_config();
    folder.add("202", &["--alias", "bob"]);
    let item = |name: &str, pin: &str, alias: &str| {
        format!(
            "<item><identity>{name}@example.com</identity><userName>{name}</userName><pintoken>{pin}</pintoken><passtoken>pw</passtoken><displayName>D {name}</displayName><aliases><alias>{alias}</alias></aliases></item>"
        )
    };
    let zeros = "0".repeat(32);
    let items = [
        item("201", &zeros, "anna"),
        item("202", &zeros, "x"),
        item("203", &zeros, "bob"),
        item("204", "short", "y"),
    ];
    let namespace = "http://www.sipfoundry.org/sipX/schema/xml/validusers-00-00";
    folder.write(
        "validusers.xml",
        &format!("<?xml version=\"1.0\"?>\n<items xmlns=\"{namespace}\">{}</items>\n", items.concat()),
    );
    let ran = folder.run(&["user", "import", "validusers.xml"], "");
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (Some(0), "2 users imported to users.toml, 3 left out\n"),
        "{}",
        ran.err
    );
    for told in [
        "202: the name is there already",
        "203: its alias bob is there already",
        "204: its pintoken is not an MD5 value",
    ] {
        assert!(ran.err.contains(&format!("validusers.xml: left out: {told}\n")), "{told}: {}", ran.err);
    }
    let list = folder.succeed(&["user", "list"], "");
    assert!(list.contains("201   D 201         anna") && list.contains("203   D 203         -"), "{list}");
    assert!(folder.read("users.toml").contains(&zeros));
    folder.write("broken.xml", "<items><item>");
    assert!(folder.fail(&["user", "import", "broken.xml"], "").starts_with("cordboard: broken.xml: "));
    assert!(
        folder.fail(&["user", "import", "none.xml"], "").starts_with("cordboard: none.xml cannot be read")
    );
}

#[test]
fn a_command_line_that_is_wrong_shows_how_it_is_used() {
    let ran = Folder::new().run(&["user", "add"], "");
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("Usage: cordboard user add"), "{}", ran.err);
}
