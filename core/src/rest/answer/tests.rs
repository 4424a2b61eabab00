use super::super::sample::Sample;
use super::*;
use crate::call::order::Refusal;

const XML_SHOW: Show = Show { format: Format::Xml, epoch: Epoch::from_unix_millis(0) };
const JSON_SHOW: Show = Show { format: Format::Json, epoch: Epoch::from_unix_millis(0) };

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value)
}

fn value(answer: &Answer) -> serde_json::Value {
    serde_json::from_slice(&answer.body).unwrap()
}

#[test]
fn a_placed_call_is_named_and_its_body_is_empty_unless_json_is_wanted() {
    let sample = Sample::notified("");
    let plain = XML_SHOW.placed(&sample.by_refer(), &Ignored::default());
    assert_eq!((plain.status, plain.body.as_slice()), (200, &b""[..]));
    assert_eq!(header(&plain, "Location"), Some("/calls/0123456789abcdef0123456789abcd01"));
    assert_eq!((header(&plain, "Cordboard-Ignored"), header(&plain, "Content-Type")), (None, None));
    let json = JSON_SHOW.placed(&sample.by_refer(), &Ignored::default());
    assert_eq!(header(&json, "Content-Type"), Some("application/json"));
    assert_eq!(header(&json, "Location"), Some("/calls/0123456789abcdef0123456789abcd01"));
    assert_eq!(value(&json)["id"], "0123456789abcdef0123456789abcd01");
}

#[test]
fn progress_comes_in_the_form_that_is_wanted_and_is_not_to_be_stored() {
    let sample = Sample::notified("");
    let xml = XML_SHOW.progress(Some(&sample.by_refer()));
    assert_eq!((xml.status, header(&xml, "Content-Type")), (200, Some("text/xml; charset=utf-8")));
    assert!(xml.body.starts_with(b"<?xml"));
    let json = JSON_SHOW.progress(Some(&sample.by_refer()));
    assert_eq!((json.status, header(&json, "Content-Type")), (200, Some("application/json")));
    assert_eq!(value(&json)["events"].as_array().map(Vec::len), Some(4));
    for answer in [xml, json] {
        assert_eq!(header(&answer, "Cache-Control"), Some("no-store"));
    }
}

#[test]
fn a_call_that_is_not_there_has_no_progress_but_that_is_no_error() {
    let xml = XML_SHOW.progress(None);
    assert_eq!((xml.status, header(&xml, "Content-Type")), (200, Some("text/xml; charset=utf-8")));
    assert!(!xml.body.windows(8).any(|bytes| bytes == b"<status>"));
    let json = JSON_SHOW.progress(None);
    assert_eq!((json.status, json.body.as_slice()), (200, &b"null"[..]));
}

#[test]
fn a_list_has_no_events_and_an_end() {
    let sample = Sample::notified("");
    let list = |count| {
        let mut listed = Listed::default();
        XML_SHOW.list(std::iter::repeat_n(sample.by_refer(), count), &mut listed);
        value(&XML_SHOW.listed(&listed))
    };
    let three = list(3);
    assert_eq!((three["calls"].as_array().map(Vec::len), &three["more"]), (Some(3), &false.into()));
    assert_eq!(three["calls"][0]["agent"], "user1");
    assert!(three["calls"][0].get("events").is_none());
    assert_eq!(list(0)["calls"], serde_json::json!([]));
    assert_eq!(list(1000)["more"], false);
    let many = list(1001);
    assert_eq!((many["calls"].as_array().map(Vec::len), &many["more"]), (Some(1000), &true.into()));
}

#[test]
fn hanging_up_and_options_answer_without_a_body() {
    let (gone, options) = (XML_SHOW.hung_up(), JSON_SHOW.options("GET, HEAD"));
    assert_eq!((gone.status, gone.body.len(), gone.headers.len()), (204, 0, 0));
    assert_eq!((options.status, options.body.len(), header(&options, "Allow")), (204, 0, Some("GET, HEAD")));
}

#[test]
fn an_error_is_the_same_in_both_forms() {
    let error = Error::from(Refusal::InProgress);
    let (xml, json) = (XML_SHOW.error(&error), JSON_SHOW.error(&error));
    assert_eq!((xml.status, header(&xml, "Content-Type")), (409, Some("text/xml; charset=utf-8")));
    assert_eq!((json.status, header(&json, "Content-Type")), (409, Some("application/problem+json")));
    let text = String::from_utf8(xml.body).unwrap();
    assert!(text.contains("<error-code>409</error-code>") && text.contains(&error.to_string()), "{text}");
    let problem = value(&json);
    assert_eq!((&problem["title"], &problem["status"]), (&"Conflict".into(), &409.into()));
    assert_eq!(problem["detail"], error.to_string());
}

#[test]
fn every_challenge_has_a_line_of_its_own() {
    let error = Error::NotLoggedIn(vec!["Digest a".to_owned(), "Digest b".to_owned()]);
    let answer = XML_SHOW.error(&error);
    let lines: Vec<_> = answer.headers.iter().filter(|(name, _)| *name == "WWW-Authenticate").collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((answer.status, answer.response().headers.len()), (401, 3));
}

#[test]
fn every_status_of_an_error_has_its_own_phrase() {
    for status in [400, 401, 403, 404, 405, 408, 409, 413, 414, 415, 417, 429, 431, 501, 503, 505] {
        assert_ne!(phrase(status), phrase(599), "{status}");
    }
}
