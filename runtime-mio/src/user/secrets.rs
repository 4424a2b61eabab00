//! A user's PIN and SIP password, typed or piped.

use std::io::{BufRead, IsTerminal};

/// What a user logs in with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Secrets {
    /// The PIN, not empty.
    pub(super) pin: String,
    /// The password at the SIP server; `None` was an empty line.
    pub(super) sip_password: Option<String>,
}

impl Secrets {
    /// Asks for the secrets, or reads a line each; `default` is what an empty SIP password stands for.
    pub(super) fn get(name: &str, piped: bool, default: &str) -> Result<Self, String> {
        let input = std::io::stdin();
        if piped {
            return Self::read(input.lock());
        }
        if !input.is_terminal() {
            return Err(
                "standard input is no terminal: add --stdin to read PIN and SIP password from it".to_owned()
            );
        }
        Self::ask(name, default, |prompt| rpassword::prompt_password(prompt))
    }

    fn read(mut input: impl BufRead) -> Result<Self, String> {
        let mut line = |what: &str| {
            let mut line = String::new();
            let length = input
                .read_line(&mut line)
                .map_err(|error| format!("standard input cannot be read: {error}"))?;
            if length == 0 {
                return Err(format!(
                    "standard input ended before the {what}: give the PIN and the SIP password a line each"
                ));
            }
            let line = line.strip_suffix('\n').unwrap_or(&line);
            Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
        };
        let pin = line("PIN")?;
        Self::new(pin, line("SIP password")?)
    }

    fn ask(
        name: &str,
        default: &str,
        prompt: impl Fn(&str) -> std::io::Result<String>,
    ) -> Result<Self, String> {
        let twice = |what: &str, note: &str| {
            let failed = |error| format!("the {what} cannot be asked for: {error}");
            let first = prompt(&format!("{what} of {name}{note}: ")).map_err(failed)?;
            if !first.is_empty() && prompt(&format!("{what} again: ")).map_err(failed)? != first {
                return Err(format!("the two {what}s differ, nothing was changed"));
            }
            Ok(first)
        };
        let pin = twice("PIN", "")?;
        if pin.is_empty() {
            return Self::new(pin, String::new());
        }
        Self::new(pin, twice("SIP password", &format!(" (empty: {default})"))?)
    }

    fn new(pin: String, sip_password: String) -> Result<Self, String> {
        if pin.is_empty() {
            return Err("the PIN is empty".to_owned());
        }
        if pin.chars().chain(sip_password.chars()).any(char::is_control) {
            return Err("the PIN or the SIP password has control characters".to_owned());
        }
        Ok(Self { pin, sip_password: (!sip_password.is_empty()).then_some(sip_password) })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn typed(answers: &[&str]) -> (Result<Secrets, String>, Vec<String>) {
        let answers = RefCell::new(answers.iter());
        let prompts = RefCell::new(Vec::new());
        let secrets = Secrets::ask("user1", "none", |prompt| {
            prompts.borrow_mut().push(prompt.to_owned());
            answers
                .borrow_mut()
                .next()
                .map(|answer| (*answer).to_owned())
                .ok_or(std::io::ErrorKind::UnexpectedEof.into())
        });
        (secrets, prompts.into_inner())
    }

    fn secrets(pin: &str, sip: Option<&str>) -> Result<Secrets, String> {
        Ok(Secrets { pin: pin.to_owned(), sip_password: sip.map(str::to_owned) })
    }

    #[test]
    fn each_secret_is_asked_for_twice() {
        let (got, prompts) = typed(&["123", "123", "pw", "pw"]);
        assert_eq!(got, secrets("123", Some("pw")));
        let asked = [
            "PIN of user1: ",
            "PIN again: ",
            "SIP password of user1 (empty: none): ",
            "SIP password again: ",
        ];
        assert_eq!(prompts, asked);
    }

    #[test]
    fn an_empty_sip_password_is_asked_for_once_and_stands_for_none() {
        assert_eq!(typed(&["123", "123", ""]).0, secrets("123", None));
    }

    #[test]
    fn secrets_that_differ_or_are_empty_are_refused() {
        assert_eq!(typed(&["123", "124"]).0, Err("the two PINs differ, nothing was changed".to_owned()));
        assert_eq!(
            typed(&["123", "123", "a", "b"]).0,
            Err("the two SIP passwords differ, nothing was changed".to_owned())
        );
        assert_eq!(typed(&[""]).0, Err("the PIN is empty".to_owned()));
    }

    #[test]
    fn piped_secrets_are_a_line_each() {
        assert_eq!(Secrets::read(&b"123\npw\n"[..]), secrets("123", Some("pw")));
        assert_eq!(Secrets::read(&b"123\r\n p w \r\nmore"[..]), secrets("123", Some(" p w ")));
        assert_eq!(Secrets::read(&b"123\n\n"[..]), secrets("123", None));
        assert!(Secrets::read(&b"123\n"[..]).unwrap_err().contains("before the SIP password"));
        assert!(Secrets::read(&b"\npw\n"[..]).unwrap_err().contains("PIN is empty"));
        assert!(Secrets::read(&b"1\x1b2\npw\n"[..]).unwrap_err().contains("control"));
        assert!(Secrets::read(&b"\xff\n"[..]).is_err());
    }
}
