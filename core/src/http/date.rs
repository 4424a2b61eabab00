//! `Date` (RFC 9110 §5.6.7): IMF-fixdate, made once a second.

use crate::{Epoch, Tick};

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A point in time by the calendar, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: u64,
    /// 1 to 12.
    pub(crate) month: usize,
    /// 1 to 31.
    pub(crate) day: u64,
    /// Seconds since midnight.
    pub(crate) second: u64,
    /// Days since 1970-01-01.
    days: u64,
}

impl Civil {
    /// The calendar's view of so many milliseconds since 1970.
    pub(crate) fn from_unix_millis(millis: u64) -> Self {
        let (days, second) = (millis / 86_400_000, millis / 1000 % 86_400);
        // Years are counted from March, so that the leap day is the last of its year.
        let shifted = days + 719_468;
        let era = shifted / 146_097;
        let of_era = shifted % 146_097;
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        Self { year, month: month as usize, day, second, days }
    }

    fn imf(self) -> String {
        let name = DAYS.get((self.days % 7) as usize).unwrap_or(&"Thu");
        let month = MONTHS.get(self.month - 1).unwrap_or(&"Jan");
        let Self { year, day, second, .. } = self;
        format!(
            "{name}, {day:02} {month} {year} {:02}:{:02}:{:02} GMT",
            second / 3600,
            second / 60 % 60,
            second % 60
        )
    }
}

/// The text of `Date`, kept for the second that it is good for.
#[derive(Debug)]
pub(crate) struct Dates {
    epoch: Epoch,
    second: Option<u64>,
    text: String,
}

impl Dates {
    /// Dates by this epoch.
    pub(crate) fn new(epoch: Epoch) -> Self {
        Self { epoch, second: None, text: String::new() }
    }

    /// The date at `now`.
    pub(super) fn at(&mut self, now: Tick) -> &str {
        let millis = self.epoch.unix_millis(now);
        if self.second != Some(millis / 1000) {
            self.second = Some(millis / 1000);
            self.text = Civil::from_unix_millis(millis).imf();
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_follow_the_calendar() {
        let imf = |seconds: u64| Civil::from_unix_millis(seconds * 1000).imf();
        assert_eq!(imf(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(imf(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(imf(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(imf(4_107_542_400), "Mon, 01 Mar 2100 00:00:00 GMT");
        assert_eq!(imf(1_798_761_599), "Thu, 31 Dec 2026 23:59:59 GMT");
    }
}
