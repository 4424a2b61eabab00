//! Starting, reading the users again, and ending.

use std::net::TcpListener;
use std::process::Command;

use crate::phone::Phone;
use crate::{guarded, server, stranger};
use cordboard_tests::cordboard::{Cordboard, server_program};
use cordboard_tests::wait_for;
use nix::sys::signal::Signal;

const PATH: &str = "/callcontroller/user1/user2";

fn login(server: &Cordboard, user: &str) -> u16 {
    stranger(server, &["--digest", "-u", user], PATH).status
}

#[test]
fn users_are_read_again_on_sighup_and_a_broken_file_keeps_those_of_before() {
    let mut server = guarded("");
    assert_eq!(login(&server, "late:55"), 401);
    server.add_user("late", "55", &[]);
    server.process.signal(Signal::SIGHUP);
    wait_for("the new user", || (login(&server, "late:55") == 200).then_some(()));
    assert_eq!(login(&server, "user1:11"), 200);

    let file = server.folder.path().join("users.toml");
    let good = std::fs::read_to_string(&file).expect("the file can be read");
    std::fs::write(&file, format!("{good}\n[[user]]\nname = 7\n")).expect("the file can be written");
    server.process.signal(Signal::SIGHUP);
    let line = server.process.wait_said("why the file is not read", |said| {
        said.lines().find(|line| line.contains("the users stay as they were")).map(str::to_owned)
    });
    assert!(line.contains("ERROR") && line.contains("users.toml"), "{line}");
    assert_eq!((login(&server, "late:55"), login(&server, "user1:11")), (200, 200));

    let without =
        good.split("[[user]]").filter(|user| !user.contains("\"late\"")).collect::<Vec<_>>().join("[[user]]");
    std::fs::write(&file, without).expect("the file can be written");
    server.process.signal(Signal::SIGHUP);
    wait_for("the user's end", || (login(&server, "late:55") == 401).then_some(()));
    assert_eq!(login(&server, "user1:11"), 200);
}

#[test]
fn users_are_read_again_when_their_file_is_written() {
    let server = guarded("");
    assert_eq!(login(&server, "late:55"), 401);
    server.add_user("late", "55", &[]);
    wait_for("the new user", || (login(&server, "late:55") == 200).then_some(()));
}

#[test]
fn sigterm_lets_calls_in_set_up_come_to_their_end_and_takes_no_more() {
    let (mut server, phone) = (server(""), Phone::new());
    assert_eq!(server.trusted("POST", &phone.path()).status, 200);
    let invite = phone.hear("INVITE");
    phone.answer(&invite, "180 Ringing");
    server.process.signal(Signal::SIGTERM);
    server.process.wait_said("draining", |said| said.contains("draining").then_some(()));
    let other = format!("{}?agent=user2", phone.pair());
    for (accept, kind) in
        [("*/*", "text/xml; charset=utf-8"), ("application/json", "application/problem+json")]
    {
        let reply = crate::trusted(&server, &["-X", "POST", "-H", &format!("Accept: {accept}")], &other);
        assert_eq!((reply.status, reply.header("Content-Type")), (503, Some(kind)), "{reply:?}");
        assert_eq!(reply.header("Retry-After"), Some("30"), "{reply:?}");
        assert!(reply.body.contains("shutting down"), "{reply:?}");
    }
    assert_eq!(server.call(&phone.path())["state"], "alerting", "the call goes on");
    phone.answer(&invite, "486 Busy Here");
    let status = server.process.wait();
    assert!(status.success(), "{status}: {}", server.process.said());
    let said = server.process.said();
    assert!(
        said.contains("call ended") && said.lines().last().is_some_and(|line| line.ends_with("ended")),
        "{said}"
    );
}

#[test]
fn sigterm_ends_an_idle_service_at_once() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut server = server("");
        assert_eq!(server.trusted("GET", PATH).status, 200);
        server.process.signal(signal);
        assert!(server.process.wait().success(), "{signal}");
    }
}

#[test]
fn a_second_sigterm_hangs_up_and_a_third_one_waits_for_nothing() {
    for third in [false, true] {
        let (mut server, phone) = (server(""), Phone::new());
        assert_eq!(server.trusted("POST", &phone.path()).status, 200);
        let invite = phone.hear("INVITE");
        phone.answer(&invite, "180 Ringing");
        wait_for("the ringing", || {
            server.call(&phone.path())["events"].to_string().contains("180").then_some(())
        });
        server.process.signal(Signal::SIGTERM);
        server.process.wait_said("draining", |said| said.contains("draining").then_some(()));
        server.process.signal(Signal::SIGTERM);
        let cancel = phone.hear("CANCEL");
        if third {
            server.process.signal(Signal::SIGTERM);
            assert_eq!(server.process.wait().code(), Some(1), "{}", server.process.said());
        } else {
            phone.answer(&cancel, "200 OK");
            phone.answer(&invite, "487 Request Terminated");
            assert!(server.process.wait().success(), "{}", server.process.said());
        }
    }
}

#[test]
fn a_port_that_is_taken_ends_the_start_with_one_line_that_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").expect("there is a free port");
    let (stream, datagram) =
        (taken.local_addr().expect("it is bound"), datagrams.local_addr().expect("it is bound"));
    for (http, sip, named) in [
        (stream.to_string(), "127.0.0.1:0".to_owned(), stream),
        ("127.0.0.1:0".to_owned(), datagram.to_string(), datagram),
    ] {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let config = format!(
            "[http]\nhttps = []\nhttp = [\"{http}\"]\n[sip]\ndomain = \"example.com\"\nlisten = [\"udp:{sip}\"]\n"
        );
        std::fs::write(folder.path().join("cordboard.toml"), config).expect("a file can be written");
        std::fs::write(folder.path().join("users.toml"), "").expect("a file can be written");
        let output = Command::new(server_program())
            .arg("serve")
            .current_dir(folder.path())
            .env("NO_COLOR", "1")
            .output()
            .expect("cordboard can be started");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let lines: Vec<&str> = said.lines().filter(|line| line.contains("cannot listen on")).collect();
        assert!(matches!(lines[..], [line] if line.contains(&named.to_string())), "{said}");
        assert!(!said.contains("panicked") && !said.contains(" listening "), "{said}");
    }
}
