//! The HTTP paths: what a request asks, and how the answer is shown (SPEC 1).
//!
//! Reading gives an [`Action`]; the controller lets the calls carry it out, and what came of it is rendered here
//! as XML or JSON, whichever the client prefers.

mod access;
mod error;
mod json;
mod params;
mod render;
mod route;
mod xml;

pub(crate) use access::Caller;
pub(crate) use error::Error;
pub(crate) use render::{Answer, Show};
pub(crate) use route::{Action, Asked, read};

/// How the answer's body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// As sipXecs did.
    Xml,
    /// For everybody else.
    Json,
}

impl Format {
    /// What the client prefers by `Accept` (RFC 9110 §12.5.1); XML if it does not care.
    pub(crate) fn of<'a>(accept: impl Iterator<Item = &'a str>) -> Self {
        let (mut json, mut xml) = (None, None);
        for range in accept.flat_map(|line| line.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let weight = parts
                .filter_map(|parameter| parameter.split_once('='))
                .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
                .map_or(1.0, |(_, q)| q.trim().parse::<f32>().unwrap_or(0.0));
            let is = |name: &str| kind.eq_ignore_ascii_case(name);
            if is("application/json") || is("application/problem+json") {
                json = Some(weight.max(json.unwrap_or(0.0)));
            }
            if is("text/xml") || is("application/xml") || is("text/*") {
                xml = Some(weight.max(xml.unwrap_or(0.0)));
            }
        }
        match (json, xml) {
            (Some(json), None) if json > 0.0 => Format::Json,
            (Some(json), Some(xml)) if json > xml => Format::Json,
            // Wildcards leave the choice to us.
            _ => Format::Xml,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_what_the_client_prefers() {
        let of = |accept: &str| Format::of([accept].into_iter());
        assert_eq!(Format::of(std::iter::empty()), Format::Xml);
        for xml in ["*/*", "text/xml", "text/html,application/xml;q=0.9,*/*;q=0.8", "application/json;q=0", "image/png", "application/json;q=0.5, text/xml"] {
            assert_eq!(of(xml), Format::Xml, "{xml}");
        }
        for json in ["application/json", "Application/JSON", "application/json, text/plain, */*", "application/problem+json", "text/xml;q=0.5, application/json"] {
            assert_eq!(of(json), Format::Json, "{json}");
        }
    }
}
