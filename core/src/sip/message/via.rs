//! `Via` (RFC 3261 §20.42, RFC 3581).

use std::net::SocketAddr;

use super::host::{host_and_port, plain_host_and_port};
use super::params::{Plain, split_values};
use super::scan::{LISTED_PARAM_STOP, NOT_TOKEN, cut, cut_at_lws, is_lws, is_token, until};
use super::{Fault, Host, Params, trim};

const BAD: Fault = Fault::Malformed("Via");

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
    rport: Option<Option<u16>>,
}

impl<'a> Via<'a> {
    /// Reads one value.
    pub fn parse(value: &'a str) -> Result<Self, Fault> {
        let (mut via, version) = Self::front(value)?;
        let (mut branch, mut rport) = (None, None);
        via.params.check(|name, value| see(name, value, &mut branch, &mut rport))?;
        via.take(branch.flatten(), rport)?;
        if version == "2.0" { Ok(via) } else { Err(BAD) }
    }

    /// Reads the first value of a header line.
    #[inline]
    pub(super) fn first(line: &'a str) -> Result<Self, Fault> {
        match Self::plain(line) {
            Some(via) => Ok(via),
            None => Self::parse(first_value(line)),
        }
    }

    /// Reads the first value of a line, in one pass, if it is written without quotes and needless white space.
    #[inline]
    fn plain(line: &'a str) -> Option<Self> {
        const VERSION: &str = "SIP/2.0/";
        let bytes = line.as_bytes();
        if !line.starts_with(VERSION) {
            return None;
        }
        let space = until(bytes, VERSION.len(), NOT_TOKEN);
        let transport = line.get(VERSION.len()..space).filter(|transport| !transport.is_empty())?;
        if bytes.get(space) != Some(&b' ') {
            return None;
        }
        let (host, port, mut end) = plain_host_and_port(line, space + 1)?;
        let first_param = end + 1;
        let (mut branch, mut rport) = (None, None);
        while bytes.get(end) == Some(&b';') {
            let param = Plain::read(line, end + 1, LISTED_PARAM_STOP)?;
            see(param.name, param.value, &mut branch, &mut rport);
            end = param.end;
        }
        if !matches!(bytes.get(end), None | Some(b',')) {
            return None;
        }
        let params = Params::new(line.get(first_param..end).unwrap_or_default());
        let rport = rport.map(|value: Option<&str>| value.and_then(|port| port.parse().ok()));
        Some(Self { raw: line.get(..end)?, transport, host, port, params, branch: branch.flatten(), rport })
    }

    /// Reads the first value of a line of which only the sender matters, since the request is refused: whatever is wrong
    /// with its parameters, and if it is of another version (§21.5.6).
    pub(super) fn of_refused(line: &'a str) -> Result<Self, Fault> {
        let (mut via, _) = Self::front(first_value(line))?;
        via.take(via.params.value("branch"), via.params.get("rport"))?;
        Ok(via)
    }

    /// All but what the parameters say, and the version.
    fn front(value: &'a str) -> Result<(Self, &'a str), Fault> {
        let raw = trim(value);
        let (front, params) = cut(raw, b';').unwrap_or((raw, ""));
        let (name, rest) = cut(front, b'/').ok_or(BAD)?;
        let (version, rest) = cut(rest, b'/').ok_or(BAD)?;
        if !trim(name).eq_ignore_ascii_case("SIP") {
            return Err(BAD);
        }
        let (transport, sent_by) = cut_at_lws(trim(rest)).ok_or(BAD)?;
        if !is_token(transport) {
            return Err(BAD);
        }
        let (host, port) = sent_by_of(trim(sent_by)).ok_or(BAD)?;
        let params = Params::new(params);
        Ok((Self { raw, transport, host, port, params, branch: None, rport: None }, trim(version)))
    }

    fn take(&mut self, branch: Option<&'a str>, rport: Option<Option<&'a str>>) -> Result<(), Fault> {
        // Not even in quotes: the answer could not repeat it as it is.
        if branch.is_some_and(|branch| branch.bytes().any(|byte| byte <= b' ' || byte == 0x7f)) {
            return Err(BAD);
        }
        self.branch = branch;
        self.rport = rport.map(|value| value.and_then(|port| port.parse().ok()));
        Ok(())
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
        self.rport
    }

    /// Whether the request came from elsewhere than this Via says, so that the response has to name the source (§18.2.1).
    pub(crate) fn differs_from(&self, source: SocketAddr) -> bool {
        self.host.address() != Some(source.ip())
    }
}

fn first_value(line: &str) -> &str {
    split_values(line).next().unwrap_or_default()
}

/// Keeps the first parameter of either name.
#[inline]
fn see<'a>(
    name: &str,
    value: Option<&'a str>,
    branch: &mut Option<Option<&'a str>>,
    rport: &mut Option<Option<&'a str>>,
) {
    let slot = match name.len() {
        6 if name.eq_ignore_ascii_case("branch") => branch,
        5 if name.eq_ignore_ascii_case("rport") => rport,
        _ => return,
    };
    slot.get_or_insert(value);
}

fn sent_by_of(text: &str) -> Option<(Host<'_>, Option<u16>)> {
    if text.bytes().any(is_lws) {
        // White space may stand around the colon; that is rare enough not to be read in place.
        let (host, port) = cut(text, b':')?;
        return Some((Host::parse(trim(host)).ok()?, Some(trim(port).parse().ok()?)));
    }
    host_and_port(text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn what_is_read_in_one_pass_is_read_the_same_in_many(
            host in " ?(h|10.0.0.1|10.0.0.01|\\[::1\\])(:[0-9]{1,6})?",
            params in "( ?; ?(rport|branch|RPORT|x)(=[a\";,<>=7 ]{0,4})?){0,3}",
            next in "( ?, ?SIP/2.0/TCP x;\")?",
        ) {
            let line = format!("SIP/2.0/UDP {host}{params}{next}");
            let read = Via::parse(first_value(&line));
            if let Some(plain) = Via::plain(&line) {
                prop_assert_eq!(read, Ok(plain), "{}", line);
            }
            prop_assert_eq!(Via::first(&line), read);
        }
    }
}
