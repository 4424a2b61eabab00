//! Spans of time.

use std::time::Duration;

use super::value::Text;

const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

impl Text for Duration {
    const RIGHT: &'static str = "a span of time like \"500ms\", \"10s\", \"5m\" or \"1h\"";

    fn read(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at_checked(digits).unwrap_or_default();
        let size = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, size)| *size);
        let number = number.parse::<u64>().ok();
        number
            .zip(size)
            .and_then(|(number, size)| number.checked_mul(size))
            .map(Duration::from_millis)
            .ok_or_else(|| "is no span of time".to_owned())
    }

    /// Minutes and hours only from five on: "180s" reads easier than "3m" where limits are in seconds.
    fn text(&self) -> String {
        let millis = u64::try_from(self.as_millis()).unwrap_or(u64::MAX);
        let unit = UNITS.iter().rev().find(|(_, size)| {
            millis % size == 0 && (*size <= 1000 || millis / 60_000 >= 5) && (millis > 0 || *size == 1000)
        });
        unit.map_or_else(|| format!("{millis}ms"), |(name, size)| format!("{}{name}", millis / size))
    }
}

/// A span of time that can be switched off.
impl Text for Option<Duration> {
    const RIGHT: &'static str = "a span of time like \"30m\", or \"off\"";

    fn read(text: &str) -> Result<Self, String> {
        if text == "off" { Ok(None) } else { Duration::read(text).map(Some) }
    }

    fn text(&self) -> String {
        self.map_or_else(|| "off".to_owned(), |span| span.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_they_are_written() {
        for text in ["0s", "1ms", "500ms", "1s", "180s", "5m", "30m", "1h", "24h"] {
            assert_eq!(Duration::read(text).unwrap().text(), text);
        }
        assert_eq!(Duration::read("3m"), Ok(Duration::from_secs(180)));
        assert_eq!(Duration::read("0ms"), Ok(Duration::ZERO));
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in
            ["", "5", "m", "-1s", "1 s", "1.5s", "5M", "99999999999999999999s", "18446744073709551615h", "é"]
        {
            assert!(Duration::read(text).is_err(), "{text}");
        }
        assert_eq!(<Option<Duration>>::read("off"), Ok(None));
        assert!(<Option<Duration>>::read("none").is_err());
    }
}
