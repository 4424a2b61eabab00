//! Both runtimes over real sockets, with the same bytes: their answers are the same but for what is drawn at random,
//! the date, and the ports that the system chose.

#[path = "conformance/plain.rs"]
mod plain;

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;

use cordboard_tests::PATIENCE;
use cordboard_tests::cordboard::{Cordboard, NewUser, program_of};
use plain::Plain;

/// The two programs.
const RUNTIMES: [&str; 2] = ["cordboard", "cordboard-lite"];
/// A server of both families and both kinds of sockets, with the one worker that `cordboard-lite` always has.
const CONFIG: &str = "workers = 1\n[http]\nhttps = [\"127.0.0.1:0\"]\nhttp = [\"127.0.0.1:0\", \"[::1]:0\"]\n\
    [sip]\ndomain = \"example.com\"\n\
    listen = [\"udp:127.0.0.1:0\", \"udp:[::1]:0\", \"tcp:127.0.0.1:0\", \"tcp:[::1]:0\"]\n";
/// The two families.
const LOOPBACKS: [&str; 2] = ["127.0.0.1", "[::1]"];

/// What both runtimes do has to be the same, and something.
fn assert_same(what: &str, doing: impl FnMut(&mut Cordboard) -> Vec<String>) {
    assert_same_with("", what, doing);
}

/// The same, with these further lines in `[sip]`.
fn assert_same_with(sip: &str, what: &str, mut doing: impl FnMut(&mut Cordboard) -> Vec<String>) {
    let config = format!("{CONFIG}{sip}\n");
    let users: [NewUser<'_>; 1] = [("agent", "1", &[])];
    let [one, other] =
        RUNTIMES.map(|runtime| doing(&mut Cordboard::run(&program_of(runtime), &config, &users)));
    assert!(one.iter().any(|said| !said.is_empty()), "{what}: nothing was said");
    assert_eq!(one.len(), other.len(), "{what}");
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(one, other, "{what}");
    }
}

/// Every torture message of ours, and some more.
fn messages() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("torture");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "dat"))
        .collect();
    files.sort();
    assert!(files.len() > 50, "{} messages", files.len());
    files.iter().map(|path| std::fs::read(path).expect("it can be read")).collect()
}

/// A request that is always answered, to know that what came before it is done.
fn fence(transport: &str, number: usize) -> String {
    format!(
        "OPTIONS sip:fence@example.com SIP/2.0\r\nVia: SIP/2.0/{transport} 127.0.0.1;branch=z9hG4bKfence{number};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:x@example.com>;tag=1\r\nTo: <sip:y@example.com>\r\n\
         Call-ID: fence{number}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}

#[test]
fn every_datagram_is_answered_alike() {
    let messages = messages();
    for host in LOOPBACKS {
        assert_same(host, |server| {
            let to = server.listening_at("udp", host);
            let socket = UdpSocket::bind((host.trim_matches(['[', ']']), 0)).expect("there is a port");
            socket.set_read_timeout(Some(PATIENCE)).expect("a socket takes a time limit");
            let plain = Plain::new([to.as_str(), &socket.local_addr().expect("it is bound").to_string()]);
            let mut buffer = [0; 65_536];
            let mut all = Vec::new();
            for (number, message) in messages.iter().enumerate() {
                socket.send_to(message, &to).expect("it can be sent");
                socket.send_to(fence("UDP", number).as_bytes(), &to).expect("it can be sent");
                loop {
                    let (length, from) = socket.recv_from(&mut buffer).expect("the fence is answered");
                    assert_eq!(from.to_string(), to, "answers come from where requests go");
                    let said = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    let is_fence = said.contains(&format!("Call-ID: fence{number}\r\n"));
                    all.push(plain.of(&said));
                    if is_fence {
                        break;
                    }
                }
            }
            all
        });
    }
}

/// All that is said on a connection on which these bytes were written, in pieces of so many, up to its end.
fn converse(to: &str, bytes: &[u8], chunk: usize) -> String {
    let mut stream = TcpStream::connect(to).expect("the server takes connections");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a time limit");
    stream.set_nodelay(true).expect("it can be asked for");
    for piece in bytes.chunks(chunk) {
        // Who was refused is closed before all is written.
        if stream.write_all(piece).is_err() {
            break;
        }
    }
    drop(stream.shutdown(std::net::Shutdown::Write));
    let mut said = Vec::new();
    if let Err(e) = stream.read_to_end(&mut said) {
        assert_eq!(e.kind(), ErrorKind::ConnectionReset, "{e}");
    }
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn messages_on_connections_are_answered_alike_however_they_are_cut() {
    let sound: String = (0..20).map(|number| fence("TCP", number)).collect();
    for host in LOOPBACKS {
        for chunk in [7, 100, 100_000] {
            assert_same(&format!("{host} in pieces of {chunk}"), |server| {
                let to = server.listening_at("tcp", host);
                let plain = Plain::new([to.as_str()]);
                let said = plain.of(&converse(&to, sound.as_bytes(), chunk));
                assert_eq!(said.matches("SIP/2.0 200 ").count(), 20, "{said}");
                vec![said]
            });
        }
    }
}

/// What is done by HTTP, and how many answers it gets.
const HTTP: [(&str, usize); 9] = [
    ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1),
    ("GET /callcontroller/a/b HTTP/1.1\r\nHost: x\r\n\r\nGET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 2),
    (
        "POST /callcontroller/a/b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhelloHEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
        2,
    ),
    ("GET /callcontroller/a/b HTTP/1.0\r\n\r\n", 1),
    ("GET  /two/blanks HTTP/1.1\r\nHost: x\r\n\r\n", 1),
    (
        "PUT /callcontroller/a/b HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\nContent-Length: 0\r\n\r\n",
        1,
    ),
    (
        "POST /callcontroller/a/b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        1,
    ),
    ("GET /callcontroller/a/b HTTP/1.1\r\n\r\n", 1),
    ("GET /callcontroller/a/b HTTP/1.1\r\nHost: x\r\nAuthorization: Digest nonsense\r\n\r\n", 1),
];

#[test]
fn requests_by_http_are_answered_alike_however_they_are_cut() {
    for host in LOOPBACKS {
        for chunk in [5, 100_000] {
            assert_same(&format!("{host} in pieces of {chunk}"), |server| {
                let to = server.listening_at("http", host);
                let plain = Plain::new([to.as_str()]);
                let said = HTTP.map(|(asked, answers)| {
                    let said = converse(&to, asked.as_bytes(), chunk);
                    assert_eq!(said.matches("HTTP/1.1 ").count(), answers, "{asked}\n{said}");
                    plain.of(&said)
                });
                said.to_vec()
            });
        }
    }
}

/// Answers with 486 and takes the ACK. Both ways are tried: what is read is one whole message.
fn refuse(invite: &str) -> String {
    let lines = invite.lines().filter(|line| {
        ["Via: ", "From: ", "To: ", "Call-ID: ", "CSeq: "].iter().any(|name| line.starts_with(name))
    });
    let tagged = lines.map(|line| match line.starts_with("To: ") {
        true => format!("{line};tag=phone\r\n"),
        false => format!("{line}\r\n"),
    });
    format!("SIP/2.0 486 Busy Here\r\n{}Content-Length: 0\r\n\r\n", tagged.collect::<String>())
}

#[test]
fn phones_of_both_families_are_called_alike_by_udp() {
    for host in LOOPBACKS {
        assert_same(host, |server| {
            let phone = UdpSocket::bind((host.trim_matches(['[', ']']), 0)).expect("there is a port");
            phone.set_read_timeout(Some(PATIENCE)).expect("a socket takes a time limit");
            let own = phone.local_addr().expect("it is bound").to_string();
            let ours = server.listening_at("udp", host);
            let plain = Plain::new([ours.as_str(), &own]);
            let path = format!("/callcontroller/user1@{own}/user2?agent=agent")
                .replace('[', "%5B")
                .replace(']', "%5D");
            assert_eq!(server.trusted("POST", &path).status, 200);
            let mut buffer = [0; 65_536];
            let mut next = || {
                let (length, from) = phone.recv_from(&mut buffer).expect("something comes");
                assert_eq!(from.to_string(), ours);
                String::from_utf8_lossy(&buffer[..length]).into_owned()
            };
            let invite = next();
            assert!(invite.contains(&format!("Contact: <sip:cordboard@{ours}>")), "{invite}");
            phone.send_to(refuse(&invite).as_bytes(), &ours).expect("it can be sent");
            let ack = next();
            assert!(ack.starts_with("ACK "), "{ack}");
            let call = server.ended(&path);
            assert_eq!(call["events"][0]["status"], 486, "{call}");
            vec![plain.of(&invite), plain.of(&ack)]
        });
    }
}

#[test]
fn phones_of_both_families_are_called_alike_by_tcp() {
    for host in LOOPBACKS {
        let phone = TcpListener::bind((host.trim_matches(['[', ']']), 0)).expect("there is a port");
        let own = phone.local_addr().expect("it is bound").to_string();
        assert_same_with(&format!("proxy = \"sip:{own};transport=tcp\""), host, |server| {
            let ours = server.listening_at("tcp", host);
            let plain = Plain::new([ours.as_str(), &own]);
            assert_eq!(server.trusted("POST", "/callcontroller/user1/user2?agent=agent").status, 200);
            let (mut stream, _) = phone.accept().expect("it connects");
            stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a time limit");
            let mut buffer = [0; 65_536];
            let mut next = |stream: &mut TcpStream| {
                let length = stream.read(&mut buffer).expect("something comes");
                String::from_utf8_lossy(&buffer[..length]).into_owned()
            };
            let invite = next(&mut stream);
            assert!(invite.contains(&format!("Contact: <sip:cordboard@{ours};transport=tcp>")), "{invite}");
            stream.write_all(refuse(&invite).as_bytes()).expect("it can be sent");
            let ack = next(&mut stream);
            assert!(ack.starts_with("ACK "), "{ack}");
            vec![plain.of(&invite), plain.of(&ack)]
        });
    }
}
