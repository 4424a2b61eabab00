//! Our own scripted phone on a real socket: one for many calls, which sends again what is lost as the RFCs say.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cordboard_core::io::{Datagram, Input, Outbox, Output, SocketId, Wake};
use cordboard_core::softphone::{Phone, PhoneConfig, PhoneCounts, PhoneState, Temper};
use cordboard_core::{Seed, Tick};

/// The longest that the phone does not look whether it is to end.
const LOOK: Duration = Duration::from_millis(20);

/// A phone on a thread of its own; dropping it ends it.
#[derive(Debug)]
pub struct Softphone {
    /// Where it listens.
    pub address: SocketAddr,
    phone: Arc<Mutex<Phone>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Softphone {
    /// A phone that behaves so and is reached directly, by whatever user part.
    pub fn start(temper: Temper) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("there is a free UDP port");
        let address = socket.local_addr().expect("it is bound");
        let config = PhoneConfig {
            user: "phone".to_owned(),
            domain: "127.0.0.1".to_owned(),
            address,
            exchange: address,
            credentials: None,
            temper,
        };
        let [high, low] = address.port().to_be_bytes();
        let phone = Arc::new(Mutex::new(Phone::new(config, &Seed([high ^ low; 32]))));
        let over = Arc::new(AtomicBool::new(false));
        let thread = {
            let (phone, over) = (phone.clone(), over.clone());
            std::thread::spawn(move || serve(&socket, &phone, &over))
        };
        Self { address, phone, over, thread: Some(thread) }
    }

    /// A user of this phone for a call, escaped for a path.
    pub fn user(&self, name: &str) -> String {
        format!("{name}%40{}", self.address)
    }

    /// With how many it is in a call.
    pub fn calls(&self) -> usize {
        match self.phone().state() {
            PhoneState::InCall(peers) => peers.len(),
            PhoneState::Idle | PhoneState::Ringing => 0,
        }
    }

    /// How often the other phone is the one that it was told to talk to, at the port that phone gives all its calls.
    pub fn told_of(&self, other: &Softphone) -> usize {
        let media = format!("m=audio {} ", 4000 + u32::from(other.address.port() % 1000) * 2);
        self.phone().remote_sdps().iter().filter(|sdp| sdp.contains(&media)).count()
    }

    /// Whether nothing is left of any call: no line, no transaction, no timer.
    pub fn is_quiet(&self) -> bool {
        self.phone().is_quiet()
    }

    /// What it has done so far.
    pub fn counts(&self) -> PhoneCounts {
        self.phone().counts()
    }

    fn phone(&self) -> MutexGuard<'_, Phone> {
        self.phone.lock().expect("the phone has not panicked")
    }
}

impl Drop for Softphone {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        if let Some(Err(_)) = ended {
            eprintln!("the phone at {} has panicked", self.address);
        }
    }
}

fn serve(socket: &UdpSocket, phone: &Mutex<Phone>, over: &AtomicBool) {
    let start = Instant::now();
    let now = || Tick::ZERO + start.elapsed();
    let (mut outbox, mut buffer) = (Outbox::new(), vec![0; 65_536]);
    let mut wake = Wake::Idle;
    while !over.load(Ordering::Relaxed) {
        let wait = match wake {
            Wake::Idle => LOOK,
            Wake::At(tick, _) => tick.since(now()).clamp(Duration::from_millis(1), LOOK),
        };
        socket.set_read_timeout(Some(wait)).expect("a socket takes a time limit");
        let received = socket.recv_from(&mut buffer);
        let mut phone = phone.lock().expect("the test has not panicked with it");
        wake = match received {
            Ok((length, from)) => {
                let datagram = Datagram { socket: SocketId(0), from, bytes: &buffer[..length] };
                phone.handle(now(), Input::Datagram(datagram), &mut outbox)
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                phone.handle(now(), Input::Timeout, &mut outbox)
            }
            Err(e) => panic!("the phone's socket: {e}"),
        };
        drop(phone);
        while let Some(output) = outbox.pop() {
            if let Output::Datagram { to, bytes, .. } = output {
                socket.send_to(bytes, to).unwrap_or_else(|e| panic!("to {to}: {e}"));
            }
        }
    }
}
