//! Which form of an answer a client wants (RFC 9110 §12.5.1).

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// As sipXecs answered.
    Xml,
    /// As everybody else does.
    Json,
}

/// How much a form is wanted: its quality in thousandths, then how specifically it was named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Wish {
    quality: u16,
    named: u8,
}

/// The wish for one form, by the most specific media ranges that fit it.
#[derive(Clone, Copy, Debug, Default)]
struct Best(Wish);

impl Best {
    fn offer(&mut self, wish: Wish) {
        let (best, new) = (self.0, wish);
        if (new.named, new.quality) > (best.named, best.quality) {
            self.0 = new;
        }
    }

    /// What is named to be refused is wished no more than what is not named at all.
    fn wish(self) -> Wish {
        if self.0.quality == 0 { Wish::default() } else { self.0 }
    }
}

impl Format {
    /// The form that fits the `Accept` lines best. Where they leave it open, paths that sipXecs had are
    /// answered in XML and the others in JSON; there is always one, even if the client refuses both.
    pub(crate) fn of<'a>(path: &str, accepts: impl Iterator<Item = &'a str>) -> Self {
        let (mut xml, mut json) = (Best::default(), Best::default());
        for range in accepts.flat_map(|line| line.split(',')) {
            let mut parts = range.split(';');
            let media_type = parts.next().unwrap_or_default().trim();
            let Some(quality) = quality(parts) else { continue };
            let (fits_xml, fits_json) = specificity(media_type);
            for (best, named) in [(&mut xml, fits_xml), (&mut json, fits_json)] {
                if named > 0 {
                    best.offer(Wish { quality, named });
                }
            }
        }
        match json.wish().cmp(&xml.wish()) {
            std::cmp::Ordering::Greater => Format::Json,
            std::cmp::Ordering::Less => Format::Xml,
            std::cmp::Ordering::Equal => Self::usual(path),
        }
    }

    fn usual(path: &str) -> Self {
        if path == "/calls" || path.starts_with("/calls/") { Format::Json } else { Format::Xml }
    }
}

/// How specifically a media range names XML and JSON; 0 where it does not fit.
fn specificity(range: &str) -> (u8, u8) {
    let is = |name: &str| range.eq_ignore_ascii_case(name);
    if is("application/json") || is("application/problem+json") {
        (0, 3)
    } else if is("text/xml") || is("application/xml") {
        (3, 0)
    } else if is("text/*") {
        (2, 0)
    } else if is("application/*") {
        (2, 2)
    } else if is("*/*") {
        (1, 1)
    } else {
        (0, 0)
    }
}

/// The weight in thousandths (RFC 9110 §12.4.2); `None` if it cannot be read.
fn quality<'a>(parameters: impl Iterator<Item = &'a str>) -> Option<u16> {
    for parameter in parameters {
        let Some((name, value)) = parameter.split_once('=') else { continue };
        if !name.trim().eq_ignore_ascii_case("q") {
            continue;
        }
        let (whole, part) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
        if part.len() > 3 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let thousandths: u16 = format!("{part:0<3}").parse().ok()?;
        return match whole {
            "0" => Some(thousandths),
            "1" if thousandths == 0 => Some(1000),
            _ => None,
        };
    }
    Some(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(accept: &[&str]) -> Format {
        Format::of("/callcontroller/a/b", accept.iter().copied())
    }

    #[test]
    fn xml_is_what_sipxecs_clients_get() {
        for accept in [
            &[][..],
            &[""],
            &["*/*"],
            &["text/xml"],
            &["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
            &["application/json, text/xml"],
            &["application/json;q=0"],
            &["application/json;q=0.4", "text/*;q=0.5"],
            &["application/*"],
            &["image/png"],
            &["application/json;q=2"],
            &["application/json;q=0.0001"],
            &["application/json;q=x, garbage;;=,,"],
        ] {
            assert_eq!(of(accept), Format::Xml, "{accept:?}");
        }
    }

    #[test]
    fn json_is_for_those_who_ask_for_it() {
        for accept in [
            &["application/json"][..],
            &["APPLICATION/JSON; charset=utf-8"],
            &["application/problem+json"],
            &["application/json, text/plain, */*"],
            &["application/json, text/javascript, */*; q=0.01"],
            &["text/xml;q=0.3", "application/json ; q=0.4"],
            &["text/xml;q=0, */*"],
            &["text/xml;q=0.999, application/json;q=1.000"],
        ] {
            assert_eq!(of(accept), Format::Json, "{accept:?}");
        }
    }

    #[test]
    fn calls_are_json_unless_xml_is_asked_for() {
        let of = |accept: &str| Format::of("/calls/1", std::iter::once(accept));
        assert_eq!(of("*/*"), Format::Json);
        assert_eq!(of("text/html"), Format::Json);
        assert_eq!(of("text/xml"), Format::Xml);
    }
}
