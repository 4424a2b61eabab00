//! What the program is asked for.

use std::net::SocketAddr;
use std::time::Duration;

use super::orders::Method;

/// How it is called.
pub const USAGE: &str = "usage: load [ROW ...] [--calls N] [--window N] [--rest N] [--seconds N] [--rounds N] [--connections N]\n\
    [--workers N]\n\
    rows: refer digest invite half rest workers overload; all of them without a name";

/// One thing that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    /// Calls by REFER, over HTTPS from a trusted host.
    Refer,
    /// The same over HTTP, with Digest on every request.
    Digest,
    /// Calls that the server stays in.
    Invite,
    /// How soon the phone is asked, at half of the peak.
    Half,
    /// What a call costs that stands, and beside it.
    Rest,
    /// What a second worker brings.
    Workers,
    /// Twice as many orders as can be taken.
    Overload,
}

impl Row {
    /// All, in their order.
    pub const ALL: [Self; 7] =
        [Self::Refer, Self::Digest, Self::Invite, Self::Half, Self::Rest, Self::Workers, Self::Overload];

    /// By which it is asked for.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refer => "refer",
            Self::Digest => "digest",
            Self::Invite => "invite",
            Self::Half => "half",
            Self::Rest => "rest",
            Self::Workers => "workers",
            Self::Overload => "overload",
        }
    }
}

/// What is measured, and how much of it.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is measured.
    pub rows: Vec<Row>,
    /// Calls in each measurement.
    pub calls: u64,
    /// Calls at once; of those that are held, as many more as [`HELD`] says.
    pub window: u64,
    /// Calls that rest.
    pub rest: u64,
    /// How long orders come in even steps.
    pub time: Duration,
    /// How often each measurement is made.
    pub rounds: usize,
    /// Connections by which calls are ordered.
    pub connections: usize,
    /// Workers of the server where the row does not say; without a number as many as it chooses.
    pub workers: Option<usize>,
}

/// How many times the window are held at once where calls are held for a second.
pub const HELD: u64 = 160;

impl Default for Options {
    fn default() -> Self {
        Self {
            rows: Row::ALL.to_vec(),
            calls: 15_000,
            window: 50,
            rest: 100_000,
            time: Duration::from_secs(3),
            rounds: 3,
            connections: 4,
            workers: None,
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Task {
    /// To measure.
    Measure(Options),
    /// To be the floor, for these phones.
    Floor(Method, SocketAddr),
}

impl Task {
    /// Reads the arguments behind the program's name.
    pub fn read(arguments: &[String]) -> Result<Self, String> {
        if let [first, method, phones] = arguments
            && first == "floor"
        {
            let method = if method == "invite" { Method::Invite } else { Method::Refer };
            return Ok(Self::Floor(method, phones.parse().map_err(|e| format!("{phones}: {e}"))?));
        }
        let mut options = Options { rows: Vec::new(), ..Options::default() };
        let mut rest = arguments.iter();
        while let Some(word) = rest.next() {
            if let Some(row) = Row::ALL.into_iter().find(|row| row.name() == word) {
                options.rows.push(row);
                continue;
            }
            let value = rest.next().ok_or_else(|| format!("{word}: no row, and no option with a value"))?;
            let number: u64 = value.parse().map_err(|e| format!("{word} {value}: {e}"))?;
            if number == 0 {
                return Err(format!("{word}: nothing can be measured with 0"));
            }
            let small = usize::try_from(number).map_err(|e| format!("{word} {value}: {e}"))?;
            match word.as_str() {
                "--calls" => options.calls = number,
                "--window" => options.window = number,
                "--rest" => options.rest = number,
                "--seconds" => options.time = Duration::from_secs(number),
                "--rounds" => options.rounds = small,
                "--connections" => options.connections = small,
                "--workers" => options.workers = Some(small),
                _ => return Err(format!("{word}: no such option")),
            }
        }
        options.rows.sort_unstable();
        options.rows.dedup();
        if options.rows.is_empty() {
            options.rows = Row::ALL.to_vec();
        }
        Ok(Self::Measure(options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        match Task::read(&words)? {
            Task::Measure(options) => Ok(options),
            Task::Floor(..) => Err("the floor".to_owned()),
        }
    }

    #[test]
    fn without_a_name_all_rows_are_measured_and_with_names_those() {
        assert_eq!(read("--calls 7").expect("it is right").rows, Row::ALL);
        let options = read("rest refer --rest 9 rest").expect("it is right");
        assert_eq!((options.rows, options.rest), (vec![Row::Refer, Row::Rest], 9));
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        for line in ["--calls", "--calls x", "--calls 0", "--cals 7", "everything"] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
