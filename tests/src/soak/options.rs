//! What is asked for on the command line.

use std::time::Duration;

/// How long, how fast, and from which seed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// For how long calls are placed.
    pub time: Duration,
    /// How many a second; without it, `share` of the peak, which is measured first.
    pub rate: Option<f64>,
    /// Which share of the peak.
    pub share: f64,
    /// How many calls rest for the whole time.
    pub resting: u32,
    /// What all is drawn from.
    pub seed: u64,
}

/// How it is called.
pub const USAGE: &str = "usage: soak [--minutes N | --seconds N] [--rate CALLS_A_SECOND | --share OF_PEAK] [--resting CALLS] [--seed N]";

/// Runs of less than this tell nothing of time, and use a short T1, so that the slow calls end soon.
const LONG: Duration = Duration::from_secs(120);

impl Options {
    /// Reads the arguments. Without a seed, this one counts.
    pub fn read(arguments: impl Iterator<Item = String>, seed: u64) -> Result<Self, String> {
        let time = Duration::from_secs(600);
        let mut options = Self { time, rate: None, share: 0.5, resting: 40, seed };
        let mut arguments = arguments;
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} wants a value\n{USAGE}"))?;
            let number = || value.parse::<f64>().ok().filter(|number| *number > 0.0 && number.is_finite());
            let number =
                number().ok_or_else(|| format!("{name} {value}: that is no number above 0\n{USAGE}"))?;
            match name.as_str() {
                "--minutes" => options.time = Duration::from_secs_f64(number * 60.0),
                "--seconds" => options.time = Duration::from_secs_f64(number),
                "--rate" => options.rate = Some(number),
                "--share" => options.share = number,
                "--resting" => options.resting = number as u32,
                "--seed" => options.seed = number as u64,
                _ => return Err(format!("{name} is unknown\n{USAGE}")),
            }
        }
        Ok(options)
    }

    /// Whether it is long enough to judge time.
    pub fn is_long(&self) -> bool {
        self.time >= LONG
    }

    /// T1 of the server and the phones.
    pub fn t1(&self) -> Duration {
        if self.is_long() { Duration::from_millis(500) } else { Duration::from_millis(100) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &str) -> Result<Options, String> {
        Options::read(arguments.split_whitespace().map(str::to_owned), 7)
    }

    #[test]
    fn ten_minutes_at_half_of_the_peak_unless_something_else_is_said() {
        let usual = read("").unwrap();
        assert_eq!(
            (usual.time, usual.rate, usual.share, usual.seed),
            (Duration::from_secs(600), None, 0.5, 7)
        );
        let other = read("--minutes 2 --rate 150 --seed 3").unwrap();
        assert_eq!((other.time, other.rate, other.seed), (Duration::from_secs(120), Some(150.0), 3));
        assert_eq!(read("--seconds 10").unwrap().t1(), Duration::from_millis(100));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for wrong in ["--minutes", "--minutes x", "--rate -1", "--speed 3"] {
            let why = read(wrong).unwrap_err();
            assert!(why.starts_with("--") && why.contains("usage"), "{why}");
        }
    }
}
