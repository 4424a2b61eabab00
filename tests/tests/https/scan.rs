//! testssl.sh, as an auditor would run it.

use std::process::Command;

use serde_json::Value;

use super::Site;

/// Bad findings that are explained.
const EXPLAINED: [(&str, &str); 2] = [
    ("cipher_order", "all suites are strong, so the client picks what is fast for it"),
    ("cert_revocation", "the authority of this test has no list of what it has revoked"),
];

struct Finding {
    severity: String,
    id: String,
    text: String,
}

fn scan(site: &Site) -> Vec<Finding> {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("findings.json");
    let mut command = Command::new("testssl");
    command
        .args([
            "--warnings",
            "off",
            "--color",
            "0",
            "--quiet",
            "--nodns",
            "min",
            "--openssl",
            "/usr/bin/openssl",
        ])
        .args(["--protocols", "--std", "--fs", "--server-defaults", "--server-preference", "--vulnerable"])
        .arg("--add-ca")
        .arg(site.authority.file())
        .arg("--jsonfile")
        .arg(&file)
        .arg(&site.server.https)
        .env("TERM", "dumb")
        .current_dir(folder.path());
    let answer = super::run(&mut command, "");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{e}: {answer:?}"));
    let all: Vec<Value> = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    let word = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    all.iter()
        .map(|finding| Finding {
            severity: word(finding, "severity"),
            id: word(finding, "id"),
            text: word(finding, "finding"),
        })
        .collect()
}

#[test]
fn testssl_finds_nothing_to_complain_about() {
    let site = Site::start("");
    let all = scan(&site);
    let explained = |id: &str| EXPLAINED.iter().any(|(explained, _)| id == *explained);
    let complaints: Vec<String> = all
        .iter()
        // WARN is what testssl.sh itself could not do.
        .filter(|finding| {
            !matches!(finding.severity.as_str(), "OK" | "INFO" | "WARN") && !explained(&finding.id)
        })
        .map(|finding| format!("{} {}: {}", finding.severity, finding.id, finding.text))
        .collect();
    assert!(complaints.is_empty(), "{complaints:#?}");

    // That nothing was found must not be because nothing was looked for.
    let found = |id: &str| {
        let finding = all.iter().find(|finding| finding.id == id);
        finding.unwrap_or_else(|| panic!("{id} was not looked at")).text.as_str()
    };
    for (version, offered) in [("SSLv2", false), ("SSLv3", false), ("TLS1", false), ("TLS1_1", false)]
        .into_iter()
        .chain([("TLS1_2", true), ("TLS1_3", true)])
    {
        assert_eq!(found(version).starts_with("offered"), offered, "{version}: {}", found(version));
    }
    for weak in ["NULL", "aNULL", "EXPORT", "LOW", "3DES_IDEA", "AVERAGE"] {
        assert_eq!(found(&format!("cipherlist_{weak}")), "not offered");
    }
    let forward_secrecy = all.iter().find(|finding| matches!(finding.id.as_str(), "PFS" | "FS"));
    assert_eq!(forward_secrecy.expect("it was looked at").text, "offered");
    assert!(found("cert_chain_of_trust").starts_with("passed"), "{}", found("cert_chain_of_trust"));
    assert!(found("cert_trust").starts_with("Ok"), "{}", found("cert_trust"));
    for hole in ["heartbleed", "CCS", "ticketbleed", "ROBOT", "POODLE_SSL", "SWEET32", "LUCKY13", "RC4"] {
        assert!(found(hole).starts_with("not vulnerable"), "{hole}: {}", found(hole));
    }
}
