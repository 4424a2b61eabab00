//! What a key's value is, in TOML and in text.

use std::net::{IpAddr, SocketAddr};

use toml::Spanned;
use toml::de::DeValue;

use super::NameServer;
use crate::auth::digest::Algorithm;

/// Why a value cannot be used.
#[derive(Debug)]
pub(super) struct Wrong {
    /// The byte of the text that it begins at.
    pub(super) at: usize,
    /// What is wrong.
    pub(super) why: String,
    /// What would be right.
    pub(super) right: String,
}

/// The value of a key.
pub(super) trait Value: Sized {
    /// Reads it.
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong>;
    /// Writes it as TOML.
    fn toml(&self) -> String;
}

/// A value that TOML has as a string.
pub(super) trait Text: Sized {
    /// What such a value is and how it is written, to follow on "write".
    const RIGHT: &'static str;
    /// Reads it; the error says what is wrong with the text, to follow on the text.
    fn read(text: &str) -> Result<Self, String>;
    /// The text that reads as this value.
    fn text(&self) -> String;
}

impl<T: Text> Value for T {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
        let wrong = |why| Wrong { at: value.span().start, why, right: format!("write {}", T::RIGHT) };
        let DeValue::String(text) = value.get_ref() else {
            return Err(wrong(format!("here stands {}", kind(value.get_ref()))));
        };
        T::read(text).map_err(|why| wrong(format!("{} {why}", shown(text))))
    }

    fn toml(&self) -> String {
        quoted(&self.text())
    }
}

impl<T: Text> Value for Vec<T> {
    /// One value may stand without the brackets of a list.
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
        if matches!(value.get_ref(), DeValue::String(_)) {
            return <T as Value>::read(value).map(|only| vec![only]);
        }
        let DeValue::Array(items) = value.get_ref() else {
            let why = format!("here stands {}", kind(value.get_ref()));
            return Err(Wrong {
                at: value.span().start,
                why,
                right: format!("write a list [\"…\"] of {}", T::RIGHT),
            });
        };
        items.iter().map(|item| <T as Value>::read(item)).collect()
    }

    fn toml(&self) -> String {
        let items: Vec<String> = self.iter().map(Value::toml).collect();
        format!("[{}]", items.join(", "))
    }
}

impl Value for bool {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
        match value.get_ref() {
            DeValue::Boolean(flag) => Ok(*flag),
            other => Err(Wrong {
                at: value.span().start,
                why: format!("here stands {}", kind(other)),
                right: "write true or false, without quotes".to_owned(),
            }),
        }
    }

    fn toml(&self) -> String {
        self.to_string()
    }
}

impl Value for usize {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
        let wrong = |why| Wrong {
            at: value.span().start,
            why,
            right: "write a whole number, without quotes".to_owned(),
        };
        let DeValue::Integer(number) = value.get_ref() else {
            return Err(wrong(format!("here stands {}", kind(value.get_ref()))));
        };
        usize::from_str_radix(number.as_str(), number.radix())
            .map_err(|_| wrong(format!("{number} is less than 0 or far too much")))
    }

    fn toml(&self) -> String {
        self.to_string()
    }
}

impl Text for String {
    const RIGHT: &'static str = "a text in quotes";

    fn read(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("is empty".to_owned());
        }
        // What is configured ends up in header fields.
        if text.chars().any(char::is_control) {
            return Err("has control characters".to_owned());
        }
        Ok(text.to_owned())
    }

    fn text(&self) -> String {
        self.clone()
    }
}

impl Text for SocketAddr {
    const RIGHT: &'static str = "an address with its port, like \"127.0.0.1:6666\" or \"[::1]:6666\"";

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "is no address with a port".to_owned())
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Text for NameServer {
    const RIGHT: &'static str =
        "an address, with its port if that is not 53, like \"192.0.2.53\" or \"[::1]:5353\"";

    fn read(text: &str) -> Result<Self, String> {
        let plain = || Some(SocketAddr::new(text.parse().ok()?, NameServer::PORT));
        text.parse().ok().or_else(plain).map(NameServer).ok_or_else(|| "is no address".to_owned())
    }

    fn text(&self) -> String {
        if self.0.port() == NameServer::PORT { self.0.ip().to_string() } else { self.0.to_string() }
    }
}

impl Text for IpAddr {
    const RIGHT: &'static str = "the address that phones reach us at, like \"192.0.2.1\"";

    fn read(text: &str) -> Result<Self, String> {
        let address: IpAddr = text.parse().map_err(|_| "is no IP address".to_owned())?;
        if address.is_unspecified() { Err("is every address and none".to_owned()) } else { Ok(address) }
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Text for Algorithm {
    const RIGHT: &'static str = "\"SHA-256\", \"SHA-512-256\" or \"MD5\"";

    fn read(text: &str) -> Result<Self, String> {
        Algorithm::of(text).ok_or_else(|| "is no digest algorithm".to_owned())
    }

    fn text(&self) -> String {
        self.name().to_owned()
    }
}

/// A TOML value's kind, for errors.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A text from the file for an error: in quotes, on one line and not too long.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST).and_then(|(at, _)| text.get(..at)) {
        Some(start) => format!("\"{}…\"", start.escape_debug()),
        None => format!("\"{}\"", text.escape_debug()),
    }
}

/// A text as a TOML basic string.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
