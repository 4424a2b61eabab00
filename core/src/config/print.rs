//! The configuration with all its keys and what they mean, as `cordboard check --print` shows it.

use std::ops::RangeInclusive;

use super::Config;
use super::keys::Keys;
use super::value::Value;

/// Characters of a comment line.
const WIDTH: usize = 100;

impl Config {
    /// All keys with their values and comments, as TOML text that reads as the same configuration.
    /// Keys that are not set and have no default stand in comments, with an example.
    pub fn print(&self) -> String {
        let mut page = Page(String::new());
        self.clone().walk(&mut page);
        page.0
    }
}

struct Page(String);

impl Page {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn comment(&mut self, text: &str) {
        let mut line = String::from("#");
        for word in text.split_whitespace() {
            if line.len() + 1 + word.len() > WIDTH {
                self.line(&line);
                line.truncate(1);
            }
            line.push(' ');
            line.push_str(word);
        }
        if line.len() > 1 {
            self.line(&line);
        }
    }
}

impl Keys for Page {
    fn table(&mut self, name: &'static str, about: &'static str) {
        if !self.0.is_empty() {
            self.line("");
        }
        self.line(&format!("[{name}]"));
        self.comment(about);
        self.line("");
    }

    fn key<V: Value>(&mut self, name: &'static str, about: &'static str, value: &mut V) {
        self.comment(about);
        self.line(&format!("{name} = {}", value.toml()));
    }

    fn within<V: Value + PartialOrd>(
        &mut self,
        name: &'static str,
        about: &'static str,
        value: &mut V,
        _: RangeInclusive<V>,
    ) {
        self.key(name, about, value);
    }

    fn optional<V: Value>(
        &mut self,
        name: &'static str,
        about: &'static str,
        example: &'static str,
        value: &mut Option<V>,
    ) {
        match value {
            Some(value) => self.key(name, about, value),
            None => {
                self.comment(about);
                self.line(&format!("# {name} = {example}"));
            }
        }
    }
}
