//! `Via` (RFC 3261 §20.42, RFC 3581).

use std::net::SocketAddr;

use super::uri::host_and_port;
use super::{Fault, Host, Params, is_token_byte, trim};

/// One Via value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    /// The value as it was sent.
    pub raw: &'a str,
    /// `UDP`, `TCP`, `TLS` or any other token.
    pub transport: &'a str,
    /// The sender's host.
    pub host: Host<'a>,
    /// The sender's port, if named.
    pub port: Option<u16>,
    /// The parameters.
    pub params: Params<'a>,
    branch: Option<&'a str>,
}

impl<'a> Via<'a> {
    /// Reads one value.
    pub fn parse(value: &'a str) -> Result<Self, Fault> {
        let (via, version) = Self::read(value)?;
        via.params.check()?;
        if version == "2.0" { Ok(via) } else { Err(Fault::Malformed("Via")) }
    }

    /// Reads one value of which only the sender matters, since the request is refused: whatever is wrong with its
    /// parameters, and if it is of another version (§21.5.6).
    pub(super) fn of_refused(value: &'a str) -> Result<Self, Fault> {
        Self::read(value).map(|(via, _)| via)
    }

    fn read(value: &'a str) -> Result<(Self, &'a str), Fault> {
        let bad = Fault::Malformed("Via");
        let raw = trim(value);
        let (front, params) = raw.split_once(';').unwrap_or((raw, ""));
        let params = Params::new(params);
        let (name, rest) = front.split_once('/').ok_or(bad)?;
        let (version, rest) = rest.split_once('/').ok_or(bad)?;
        if !trim(name).eq_ignore_ascii_case("SIP") {
            return Err(bad);
        }
        let rest = trim(rest);
        let (transport, sent_by) = rest.split_once(super::is_lws).ok_or(bad)?;
        if transport.is_empty() || !transport.bytes().all(is_token_byte) {
            return Err(bad);
        }
        let (host, port) = sent_by_of(trim(sent_by)).ok_or(bad)?;
        let branch = params.value("branch");
        // Not even in quotes: the answer could not repeat it as it is.
        if branch.is_some_and(|branch| branch.bytes().any(|byte| byte <= b' ' || byte == 0x7f)) {
            return Err(bad);
        }
        Ok((Self { raw, transport, host, port, params, branch }, trim(version)))
    }

    /// The `branch` parameter.
    pub fn branch(&self) -> Option<&'a str> {
        self.branch
    }

    /// The branch without the magic cookie, if it has it and something behind it (§8.1.1.7).
    pub fn magic(&self) -> Option<&'a str> {
        self.branch.and_then(|branch| branch.strip_prefix("z9hG4bK")).filter(|rest| !rest.is_empty())
    }

    /// `rport`: `None` when it is not there, `Some(None)` when it asks to be filled in.
    pub fn rport(&self) -> Option<Option<u16>> {
        self.params.get("rport").map(|value| value.and_then(|port| port.parse().ok()))
    }

    /// Whether the request came from elsewhere than this Via says, so that the response has to name the source (§18.2.1).
    pub(crate) fn differs_from(&self, source: SocketAddr) -> bool {
        self.host.address() != Some(source.ip())
    }
}

fn sent_by_of(text: &str) -> Option<(Host<'_>, Option<u16>)> {
    if text.contains(super::is_lws) {
        // White space may stand around the colon; that is rare enough not to be read in place.
        let (host, port) = text.split_once(':')?;
        return Some((Host::parse(trim(host)).ok()?, Some(trim(port).parse().ok()?)));
    }
    host_and_port(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_that_no_answer_could_repeat_is_refused() {
        let read = |branch: &str| {
            let text = format!("SIP/2.0/UDP 192.0.2.1;branch={branch};rport");
            Via::parse(&text).map(|via| via.branch().map(str::to_owned))
        };
        assert_eq!(read("z9hG4bKa=/:@b"), Ok(Some("z9hG4bKa=/:@b".to_owned())));
        for branch in ["z9hG4bKa\0b", "z9hG4bKa b", "z9hG4bKa\r\n b", "\"z9hG4bK\tb\""] {
            assert!(read(branch).is_err(), "{branch:?}");
        }
    }
}
