//! What requests and responses have in common: header fields and body.

use smallvec::SmallVec;

use super::params::split_values;
use super::scan::cut;
use super::{CSeq, Fault, MAX_HEADERS, Name, NameAddr, Via, trim};

/// One header line: where it starts, where its colon stands, and where it ends. Offsets fit, since a message has at most
/// 65535 bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: Name,
    pub(super) start: u16,
    pub(super) colon: u16,
    pub(super) end: u16,
}

/// So many lines are found without allocating.
const USUAL: usize = 32;

/// The header lines of a message, in the order in which they were sent.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    /// What the places in the table count in.
    pub(super) text: &'a str,
    table: SmallVec<[Field; USUAL]>,
    /// For each name the place of its first line, counted from one; 0 where there is none.
    firsts: [u8; Name::COUNT],
    /// Whether no control character stands in any line, not even those of a fold: any value can be repeated as it is.
    pub(super) are_plain: bool,
}

impl<'a> Fields<'a> {
    pub(super) fn new() -> Self {
        Self { text: "", table: SmallVec::new(), firsts: [0; Name::COUNT], are_plain: false }
    }

    #[inline]
    pub(super) fn push(&mut self, field: Field) -> Result<(), Fault> {
        let place = self.table.len() + 1;
        match self.firsts.get_mut(field.name as usize) {
            // Lossless: there are at most 128 lines.
            Some(first) if *first == 0 => *first = place as u8,
            _ => {
                if let Some(text) = field.name.singleton() {
                    return Err(Fault::Twice(text));
                }
            }
        }
        if place > MAX_HEADERS {
            return Err(Fault::TooManyHeaders(MAX_HEADERS));
        }
        self.table.push(field);
        Ok(())
    }

    #[inline]
    fn value(&self, field: &Field) -> &'a str {
        let value = self.text.get(usize::from(field.colon) + 1..usize::from(field.end)).unwrap_or_default();
        // Nearly all have one space, and then there is nothing left to trim.
        trim(value.strip_prefix(' ').unwrap_or(value))
    }

    fn name(&self, field: &Field) -> &'a str {
        trim(self.text.get(usize::from(field.start)..usize::from(field.colon)).unwrap_or_default())
    }

    /// The line of the first field of this name, and those behind it.
    fn since_first(&self, name: Name) -> &[Field] {
        let place = self.firsts.get(name as usize).copied().unwrap_or(0);
        let start = usize::from(place).checked_sub(1);
        start.and_then(|start| self.table.get(start..)).unwrap_or_default()
    }

    #[inline]
    pub(super) fn first(&self, name: Name) -> Option<&'a str> {
        self.since_first(name).first().map(|field| self.value(field))
    }

    pub(super) fn lines(&self, name: Name) -> impl Iterator<Item = &'a str> {
        self.since_first(name).iter().filter(move |field| field.name == name).map(|field| self.value(field))
    }
}

/// Header fields and body of a message.
#[derive(Debug)]
pub struct Head<'a> {
    /// The topmost `Via`.
    pub via: Via<'a>,
    /// `From`.
    pub from: NameAddr<'a>,
    /// `To`.
    pub to: NameAddr<'a>,
    /// `Call-ID`.
    pub call_id: &'a str,
    /// `CSeq`.
    pub cseq: CSeq<'a>,
    /// The body, as long as `Content-Length` says or, in a datagram without one, the rest.
    pub body: &'a [u8],
    /// The message as it was sent, from its start line on.
    pub raw: &'a [u8],
    /// The first value of the first `Contact`, unless that is `*`.
    pub(super) contact: Option<NameAddr<'a>>,
    pub(super) fields: Fields<'a>,
}

impl<'a> Head<'a> {
    /// The value of the first line of this name, without white space around it; folds still stand inside.
    pub fn first(&self, name: Name) -> Option<&'a str> {
        self.fields.first(name)
    }

    /// The value of each line of this name, in order.
    pub fn lines(&self, name: Name) -> impl Iterator<Item = &'a str> {
        self.fields.lines(name)
    }

    /// The comma-separated values of all lines of this name, in order.
    pub fn values(&self, name: Name) -> impl Iterator<Item = &'a str> {
        self.fields.lines(name).flat_map(split_values).map(trim).filter(|value| !value.is_empty())
    }

    /// The value of the first line with this name, in any case; for names that [`Name`] does not have.
    pub fn other(&self, name: &str) -> Option<&'a str> {
        let found =
            self.fields.table.iter().find(|field| self.fields.name(field).eq_ignore_ascii_case(name))?;
        Some(self.fields.value(found))
    }

    /// How many header lines there are.
    pub fn header_count(&self) -> usize {
        self.fields.table.len()
    }

    /// All header lines: name, its text as it was sent, value.
    pub fn all(&self) -> impl Iterator<Item = (Name, &'a str, &'a str)> {
        self.fields.table.iter().map(|field| (field.name, self.fields.name(field), self.fields.value(field)))
    }

    /// The first `Contact` that is a name-addr.
    pub fn contact(&self) -> Option<NameAddr<'a>> {
        self.contact
    }

    /// All `Contact` values.
    pub fn contacts(&self) -> impl Iterator<Item = Result<NameAddr<'a>, Fault>> {
        self.values(Name::Contact).map(NameAddr::parse)
    }

    /// Whether a list header field names this token, in any case.
    pub fn has_token(&self, name: Name, token: &str) -> bool {
        self.values(name)
            .any(|value| trim(cut(value, b';').map_or(value, |(front, _)| front)).eq_ignore_ascii_case(token))
    }

    /// The media type of the body, without parameters.
    pub fn content_type(&self) -> Option<&'a str> {
        self.first(Name::ContentType).map(|value| trim(cut(value, b';').map_or(value, |(front, _)| front)))
    }

    /// Whether the body is a description of media (RFC 8866).
    pub(crate) fn is_sdp(&self) -> bool {
        self.content_type().is_some_and(|kind| kind.eq_ignore_ascii_case("application/sdp"))
    }

    /// The number that a header field starts with; `None` when it is not there, no number, or beyond a u32.
    pub fn number(&self, name: Name) -> Option<u32> {
        let value = self.first(name)?;
        let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
        value.get(..end)?.parse().ok()
    }
}
