//! The XML documents that sipXecs answered with, written straight into the answer.

use crate::Epoch;
use crate::call::progress::{DialogState, Progress, ShownDialog, Way};
use crate::call::record::{Event, EventKind};

const NAMESPACE: &str = "http://www.sipfoundry.org/sipX/schema/xml/call-status-00-00";

/// Appends the progress of a call; of none, an empty document.
pub(super) fn progress(call: Option<&Progress<'_>>, epoch: Epoch, out: &mut Vec<u8>) {
    match call.map(|call| (&call.way, call.record.events())) {
        None => status_lines("", &[], epoch, out),
        Some((Way::Invite { dialogs }, _)) => all_dialogs(dialogs, out),
        Some((Way::Refer { call_id: Some(id) }, events)) => {
            status_lines(id.text().as_str(), events, epoch, out)
        }
        Some((Way::Refer { call_id: None }, events)) => status_lines("", events, epoch, out),
    }
}

/// Appends the description of an error.
pub(super) fn processing_status(status: u16, why: &str, out: &mut Vec<u8>) {
    begin("processing-status", out);
    push("<error-flag>ERROR</error-flag><error-code>", out);
    push(itoa::Buffer::new().format(status), out);
    push("</error-code><error-text>", out);
    text(why, out);
    push("</error-text></processing-status>\n", out);
}

fn status_lines(call_id: &str, events: &[Event], epoch: Epoch, out: &mut Vec<u8>) {
    begin("status-lines", out);
    push("\n", out);
    for event in events {
        push("<status>\n\t<timestamp>", out);
        push(itoa::Buffer::new().format(epoch.unix_millis(event.at)), out);
        push("</timestamp>\n\t<call-id>", out);
        text(call_id, out);
        push("</call-id>\n\t<method>", out);
        match &event.kind {
            EventKind::Response(status, reason) => {
                push("INVITE</method>\n\t<status-line>SIP/2.0 ", out);
                push(itoa::Buffer::new().format(status.code()), out);
                push(" ", out);
                text(reason.as_deref().unwrap_or(status.phrase()), out);
            }
            EventKind::Notified(body) => {
                push("NOTIFY</method>\n\t<status-line>", out);
                text(body, out);
            }
        }
        push("</status-line>\n</status>\n", out);
    }
    push("</status-lines>\n", out);
}

fn all_dialogs(dialogs: &[ShownDialog<'_>], out: &mut Vec<u8>) {
    begin("dialogs", out);
    push("\n", out);
    for dialog in dialogs {
        push("\t<dialog>\n\t\t<dialog-id>", out);
        text(dialog.call_id.text().as_str(), out);
        push(":", out);
        text(dialog.local_tag.text().as_str(), out);
        push(":", out);
        text(dialog.remote_tag, out);
        push("</dialog-id>\n\t\t<local-party>", out);
        text(dialog.local_party, out);
        push("</local-party>\n\t\t<remote-party>", out);
        text(dialog.remote_party, out);
        push("</remote-party>\n\t\t<dialog-state>", out);
        push(state(dialog.state), out);
        push("</dialog-state>\n\t</dialog>\n", out);
    }
    push("</dialogs>\n", out);
}

fn state(state: DialogState) -> &'static str {
    match state {
        DialogState::Early => "Early Dialog",
        DialogState::Confirmed => "Confirmed Dialog",
        DialogState::Terminated => "Terminated Dialog",
    }
}

fn begin(element: &str, out: &mut Vec<u8>) {
    push("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<", out);
    push(element, out);
    push(" xmlns=\"", out);
    push(NAMESPACE, out);
    push("\">", out);
}

fn push(piece: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(piece.as_bytes());
}

/// Appends text: what means something in XML is escaped, what may not stand in XML 1.0 (§2.2) replaced.
fn text(text: &str, out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some((at, special)) = rest.char_indices().find_map(|(at, c)| Some((at, (c, escape(c)?)))) {
        let (c, instead) = special;
        push(rest.get(..at).unwrap_or_default(), out);
        push(instead, out);
        rest = rest.get(at + c.len_utf8()..).unwrap_or_default();
    }
    push(rest, out);
}

fn escape(c: char) -> Option<&'static str> {
    match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\'' => Some("&apos;"),
        // As itself it would be read as a line feed (§2.11).
        '\r' => Some("&#13;"),
        '\t' | '\n' => None,
        '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => Some("\u{fffd}"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
