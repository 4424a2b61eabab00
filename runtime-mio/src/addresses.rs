//! The addresses that are listened on: those that the configuration names, in the order of the machine's ids, and those
//! really bound, which differ where the port is 0.

use std::net::SocketAddr;

use cordboard_core::config::{Config, SipTransport};

/// The addresses for datagram sockets.
pub(crate) fn datagrams(config: &Config) -> Vec<SocketAddr> {
    let listens = config.sip.listen.iter().filter(|listen| listen.transport == SipTransport::Udp);
    listens.map(|listen| listen.address).collect()
}

/// The addresses for listeners.
pub(crate) fn streams(config: &Config) -> Vec<SocketAddr> {
    let listens = config.sip.listen.iter().filter(|listen| listen.transport != SipTransport::Udp);
    let http = config.http.https.iter().chain(&config.http.http).copied();
    http.chain(listens.map(|listen| listen.address)).collect()
}

/// What the log says of the addresses that are listened on, for when it is true that signals are heard too.
pub(crate) fn announcement(config: &Config) -> Vec<String> {
    let line = |kind: &str, address: &SocketAddr| format!("listening {kind}={address}");
    let https = config.http.https.iter().map(|address| line("https", address));
    let http = config.http.http.iter().map(|address| line("http", address));
    let sip = config.sip.listen.iter().map(|listen| line(listen.transport.word(), &listen.address));
    https.chain(http).chain(sip).collect()
}

/// Writes the addresses really bound, in the same order, into the configuration.
pub(crate) fn take_over(config: &mut Config, datagrams: &[SocketAddr], streams: &[SocketAddr]) {
    let (mut datagrams, mut streams) = (datagrams.iter(), streams.iter());
    for addresses in [&mut config.http.https, &mut config.http.http] {
        for (address, bound) in addresses.iter_mut().zip(&mut streams) {
            *address = *bound;
        }
    }
    for listen in &mut config.sip.listen {
        let bound = match listen.transport {
            SipTransport::Udp => datagrams.next(),
            SipTransport::Tcp | SipTransport::Tls => streams.next(),
        };
        listen.address = bound.copied().unwrap_or(listen.address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_bound_is_written_back_where_it_was_asked_for() {
        let mut config = Config::new("example.com");
        let port = |port| SocketAddr::from(([127, 0, 0, 1], port));
        config.http.https = vec![port(1)];
        config.http.http = vec![port(2), port(3)];
        let listen =
            [(SipTransport::Tls, 4), (SipTransport::Udp, 5), (SipTransport::Tcp, 6), (SipTransport::Udp, 7)];
        config.sip.listen = listen
            .map(|(transport, at)| cordboard_core::config::Listen { transport, address: port(at) })
            .to_vec();
        assert_eq!(datagrams(&config), [5, 7].map(port));
        assert_eq!(streams(&config), [1, 2, 3, 4, 6].map(port));
        take_over(&mut config, &[15, 17].map(port), &[11, 12, 13, 14, 16].map(port));
        assert_eq!(config.http.https, [11].map(port));
        assert_eq!(config.http.http, [12, 13].map(port));
        let sip: Vec<SocketAddr> = config.sip.listen.iter().map(|listen| listen.address).collect();
        assert_eq!(sip, [14, 15, 16, 17].map(port));
        assert_eq!(
            announcement(&config)[2..4],
            ["listening http=127.0.0.1:13", "listening tls=127.0.0.1:14"]
        );
    }
}
