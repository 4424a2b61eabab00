//! The XML documents of sipXecs (SPEC 1), written straight into the answer.

use crate::Epoch;
use crate::call::Call;
use crate::call::record::EventKind;

const NAMESPACE: &str = "http://www.sipfoundry.org/sipX/schema/xml/call-status-00-00";

/// Appends the progress of a call by REFER; an empty document if there is no such call.
pub(super) fn status_lines(call: Option<&Call>, epoch: Epoch, out: &mut Vec<u8>) {
    begin(out, "status-lines");
    for event in call.into_iter().flat_map(|call| call.record().events()) {
        let call_id = call.and_then(Call::leg_call_id).map(|id| id.text());
        push(out, "<status>\n\t<timestamp>");
        push(out, itoa::Buffer::new().format(epoch.unix_millis(event.at)));
        push(out, "</timestamp>\n\t<call-id>");
        text(out, call_id.as_ref().map_or("", |id| id.as_str()));
        push(out, "</call-id>\n\t<method>");
        match &event.kind {
            EventKind::Response(status, reason) => {
                push(out, "INVITE</method>\n\t<status-line>SIP/2.0 ");
                push(out, itoa::Buffer::new().format(status.code()));
                push(out, " ");
                text(out, reason.as_deref().unwrap_or(status.phrase()));
            }
            EventKind::Notified(body) => {
                push(out, "NOTIFY</method>\n\t<status-line>");
                text(out, body);
            }
        }
        push(out, "</status-line>\n</status>\n");
    }
    push(out, "</status-lines>\n");
}

/// Appends the description of an error.
pub(super) fn processing_status(status: u16, why: &str, out: &mut Vec<u8>) {
    begin(out, "processing-status");
    push(out, "<error-flag>ERROR</error-flag><error-code>");
    push(out, itoa::Buffer::new().format(status));
    push(out, "</error-code><error-text>");
    text(out, why);
    push(out, "</error-text></processing-status>\n");
}

fn begin(out: &mut Vec<u8>, element: &str) {
    for piece in ["<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<", element, " xmlns=\"", NAMESPACE, "\">\n"] {
        push(out, piece);
    }
}

fn push(out: &mut Vec<u8>, piece: &str) {
    out.extend_from_slice(piece.as_bytes());
}

/// Appends text with what means something in XML escaped, and what may not stand in XML 1.0 replaced.
fn text(out: &mut Vec<u8>, text: &str) {
    for c in text.chars() {
        match c {
            '&' => push(out, "&amp;"),
            '<' => push(out, "&lt;"),
            '>' => push(out, "&gt;"),
            '"' => push(out, "&quot;"),
            // A reader would turn a bare CR into LF (XML 1.0 §2.11).
            '\r' => push(out, "&#13;"),
            '\t' | '\n' => push(out, c.encode_utf8(&mut [0; 4])),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => push(out, "\u{fffd}"),
            c => push(out, c.encode_utf8(&mut [0; 4])),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use quick_xml::events::Event;

    use super::*;

    proptest! {
        #[test]
        fn any_text_makes_a_document_that_a_reader_reads_the_same(why in any::<String>()) {
            let mut out = Vec::new();
            processing_status(400, &why, &mut out);
            let document = String::from_utf8(out).unwrap();
            let mut reader = quick_xml::Reader::from_str(&document);
            let (mut inside, mut read) = (false, String::new());
            loop {
                match reader.read_event().unwrap() {
                    Event::Start(start) if start.local_name().as_ref() == "error-text" => inside = true,
                    Event::End(_) => inside = false,
                    Event::Text(piece) if inside => read.push_str(&piece),
                    Event::GeneralRef(reference) if inside => read.push(match reference.resolve_char_ref() {
                        Ok(Some(c)) => c,
                        _ => match reference.as_ref() { "amp" => '&', "lt" => '<', "gt" => '>', _ => '"' },
                    }),
                    Event::Eof => break,
                    _ => {}
                }
            }
            let expected: String = why.chars().map(|c| if (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}') { '\u{fffd}' } else { c }).collect();
            prop_assert_eq!(read, expected);
        }
    }
}
