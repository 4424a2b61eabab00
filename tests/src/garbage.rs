//! Datagrams that are no SIP, or nearly so.

use crate::sim::dice::Dice;

fn roll(dice: &mut Dice, sides: usize) -> usize {
    dice.below(sides as u64) as usize
}

fn bytes(dice: &mut Dice, length: usize) -> Vec<u8> {
    (0..length).map(|_| dice.bits() as u8).collect()
}

/// Messages that are right, as those of anybody to whom no call belongs.
fn valid(dice: &mut Dice) -> Vec<u8> {
    let starts = [
        ("OPTIONS sip:127.0.0.1 SIP/2.0", "OPTIONS"),
        ("INVITE sip:agent@127.0.0.1 SIP/2.0", "INVITE"),
        ("BYE sip:agent@127.0.0.1 SIP/2.0", "BYE"),
        ("REFER sip:agent@127.0.0.1 SIP/2.0", "REFER"),
        ("NOTIFY sip:agent@127.0.0.1 SIP/2.0", "NOTIFY"),
        ("CANCEL sip:agent@127.0.0.1 SIP/2.0", "CANCEL"),
        ("SIP/2.0 180 Ringing", "INVITE"),
        ("SIP/2.0 200 OK", "INVITE"),
        ("SIP/2.0 407 Proxy Authentication Required", "REFER"),
    ];
    let (start, method) = starts[roll(dice, starts.len())];
    let number = roll(dice, 1 << 30);
    format!(
        "{start}\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK{number};rport\r\nMax-Forwards: 70\r\n\
         From: \"Some Body\" <sip:some@127.0.0.1>;tag={number}\r\nTo: <sip:agent@127.0.0.1>;tag=t{number}\r\n\
         Call-ID: {number}@127.0.0.1\r\nCSeq: 1 {method}\r\nContact: <sip:some@127.0.0.1:9>\r\n\
         Content-Type: application/sdp\r\nContent-Length: 65\r\n\r\n\
         v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
    )
    .into_bytes()
}

/// The next datagram: bytes of any kind, a message cut short, one with some bytes changed, one that is repeated in itself,
/// or a big one.
pub fn garbage(dice: &mut Dice) -> Vec<u8> {
    match roll(dice, 50) {
        0..10 => {
            let length = roll(dice, 1500);
            bytes(dice, length)
        }
        10..25 => {
            let mut message = valid(dice);
            message.truncate(roll(dice, message.len()));
            message
        }
        25..45 => {
            let mut message = valid(dice);
            for _ in 0..=roll(dice, 6) {
                let place = roll(dice, message.len());
                message[place] = roll(dice, 256) as u8;
            }
            message
        }
        45..49 => {
            let mut message = valid(dice);
            let (from, to) = (roll(dice, message.len()), roll(dice, message.len()));
            let piece = message[from.min(to)..from.max(to)].to_vec();
            message.splice(from..from, piece);
            message
        }
        _ => {
            let (mut message, length) = (valid(dice), 20_000 + roll(dice, 45_000));
            message.resize(length, b'a');
            message
        }
    }
}
