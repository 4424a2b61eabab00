use proptest::prelude::*;
use quick_xml::Reader;
use quick_xml::events::Event as Xml;

use super::super::sample::{Sample, dialogs};
use super::*;

const EPOCH: Epoch = Epoch::from_unix_millis(1_269_268_319_000);

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

/// The texts of all elements of this name, as a reader of XML sees them; panics if it is not well-formed.
fn texts(document: &str, element: &str) -> Vec<String> {
    let mut reader = Reader::from_str(document);
    let (mut found, mut open, mut inside) = (Vec::new(), Vec::new(), false);
    loop {
        match reader.read_event().unwrap() {
            Xml::Start(start) => {
                open.push(start.local_name().as_ref().to_owned());
                inside = start.local_name().as_ref() == element;
                if inside {
                    found.push(String::new());
                }
            }
            Xml::End(end) => {
                assert_eq!(open.pop().as_deref(), Some(end.local_name().as_ref()));
                inside = false;
            }
            Xml::Text(text) if inside => found.last_mut().unwrap().push_str(&text),
            Xml::GeneralRef(reference) if inside => found.last_mut().unwrap().push(character(&reference)),
            Xml::Eof => break,
            _ => {}
        }
    }
    assert!(open.is_empty());
    found
}

fn character(reference: &quick_xml::events::BytesRef<'_>) -> char {
    if let Some(c) = reference.resolve_char_ref().unwrap() {
        return c;
    }
    match reference.as_ref() {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        other => panic!("no entity of XML: {other}"),
    }
}

#[test]
fn a_call_by_refer_is_shown_as_the_status_lines_of_sipxecs() {
    let sample = Sample::notified("SIP/2.0 603 Decline\r\nWarning: <none>");
    let document = written(|out| progress(Some(&sample.by_refer()), EPOCH, out));
    let begin = concat!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",
        "<status-lines xmlns=\"http://www.sipfoundry.org/sipX/schema/xml/call-status-00-00\">\n",
        "<status>\n",
        "\t<timestamp>1269268319005</timestamp>\n",
        "\t<call-id>0123456789abcdef0123456789abcd02</call-id>\n",
        "\t<method>INVITE</method>\n",
        "\t<status-line>SIP/2.0 180 Ringing</status-line>\n",
        "</status>\n",
    );
    assert!(document.starts_with(begin), "{document}");
    assert!(document.ends_with("</status>\n</status-lines>\n"), "{document}");
    // Otherwise a reader that follows XML 1.0 §2.11 would not see the CR.
    assert!(document.contains("603 Decline&#13;\nWarning: &lt;none&gt;"), "{document}");
    assert_eq!(texts(&document, "method"), ["INVITE", "INVITE", "NOTIFY", "NOTIFY"]);
    let lines = [
        "SIP/2.0 180 Ringing",
        "SIP/2.0 200 Here <I> am",
        "SIP/2.0 100 Trying",
        "SIP/2.0 603 Decline\r\nWarning: <none>",
    ];
    assert_eq!(texts(&document, "status-line"), lines);
    assert_eq!(texts(&document, "timestamp").last().map(String::as_str), Some("1269268321010"));
}

#[test]
fn no_call_is_shown_as_an_empty_document() {
    let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<status-lines xmlns=\"http://www.sipfoundry.org/sipX/schema/xml/call-status-00-00\">\n</status-lines>\n";
    assert_eq!(written(|out| progress(None, EPOCH, out)), expected);
}

#[test]
fn a_call_that_we_stay_in_is_shown_by_its_dialogs() {
    let (sample, dialogs) = (Sample::notified(""), dialogs());
    let document =
        written(|out| progress(Some(&sample.by(Way::Invite { dialogs: dialogs.to_vec() })), EPOCH, out));
    let begin = concat!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",
        "<dialogs xmlns=\"http://www.sipfoundry.org/sipX/schema/xml/call-status-00-00\">\n",
        "\t<dialog>\n",
        "\t\t<dialog-id>0123456789abcdef0123456789abcd10:0123456789abcdef0123456789abcd11:a&lt;b</dialog-id>\n",
        "\t\t<local-party>sip:user1@example.com</local-party>\n",
        "\t\t<remote-party>sip:user1@example.com</remote-party>\n",
        "\t\t<dialog-state>Confirmed Dialog</dialog-state>\n",
        "\t</dialog>\n",
    );
    assert!(document.starts_with(begin), "{document}");
    assert_eq!(texts(&document, "dialog-state"), ["Confirmed Dialog", "Early Dialog"]);
    assert_eq!(texts(&document, "remote-party"), ["sip:user1@example.com", "sip:o'b&b@example.com"]);
    assert_eq!(state(DialogState::Terminated), "Terminated Dialog");
}

#[test]
fn an_error_is_shown_with_its_code_and_text() {
    let document = written(|out| processing_status(400, "parameter timeout: must be <1>", out));
    assert_eq!(texts(&document, "error-flag"), ["ERROR"]);
    assert_eq!(texts(&document, "error-code"), ["400"]);
    assert_eq!(texts(&document, "error-text"), ["parameter timeout: must be <1>"]);
    assert!(document.contains("<processing-status xmlns=\"http://www.sipfoundry.org/sipX/schema/xml/call-status-00-00\"><error-flag>"));
}

fn legal(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

proptest! {
    #[test]
    fn any_text_is_read_back_with_only_illegal_characters_replaced(
        why in prop_oneof![any::<String>(), "[\\x00-\\x7f\u{fffd}-\u{ffff}<>&'\"\\]]*"],
    ) {
        let document = written(|out| processing_status(500, &why, out));
        prop_assert!(document.chars().all(legal));
        let expected: String = why.chars().map(|c| if legal(c) { c } else { '\u{fffd}' }).collect();
        prop_assert_eq!(texts(&document, "error-text"), [expected]);
    }

    #[test]
    fn whatever_a_phone_notifies_the_document_is_well_formed(body in any::<String>()) {
        let sample = Sample::notified(&body);
        let document = written(|out| progress(Some(&sample.by_refer()), EPOCH, out));
        prop_assert_eq!(texts(&document, "status-line").len(), 4);
    }
}
