//! Certificates made for a test: an authority of its own, and what it has signed, good and bad.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Who signs certificates, with a folder for all their files.
#[derive(Debug)]
pub struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM files.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Both in one file, as phones want them.
    pub both: PathBuf,
}

/// When a certificate is good, in days from now.
struct Life {
    from: i64,
    to: i64,
}

impl Life {
    fn apply(&self, params: &mut CertificateParams) {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
        let at = |days: i64| {
            let distance = DAY * u32::try_from(days.unsigned_abs()).expect("it is near");
            let moment = if days < 0 { since_1970 - distance } else { since_1970 + distance };
            date_time_ymd(1970, 1, 1) + moment
        };
        params.not_before = at(self.from);
        params.not_after = at(self.to);
    }
}

impl Authority {
    /// An authority of this name.
    pub fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Life { from: -60, to: 3600 }.apply(&mut params);
        let key = KeyPair::generate().expect("a key can be made");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("it signs itself");
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("a file can be written");
        Self { folder, issuer }
    }

    /// The file of its own certificate, for whoever trusts it.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate that is good now, for servers and clients, and for these names: domains (perhaps with a wildcard),
    /// addresses, or `sip:` URIs.
    pub fn issue(&self, names: &[&str]) -> Identity {
        let both = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(names, &Life { from: -1, to: 90 }, both)
    }

    /// The same, but it was good until yesterday.
    pub fn issue_expired(&self, names: &[&str]) -> Identity {
        let both = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(names, &Life { from: -30, to: -1 }, both)
    }

    /// A certificate for a client, which no server may show.
    pub fn issue_for_client(&self, name: &str) -> Identity {
        self.sign(&[name], &Life { from: -1, to: 90 }, vec![ExtendedKeyUsagePurpose::ClientAuth])
    }

    fn sign(&self, names: &[&str], life: &Life, usages: Vec<ExtendedKeyUsagePurpose>) -> Identity {
        let mut params = CertificateParams::default();
        let first = names.first().copied().expect("a certificate is for somebody");
        params.distinguished_name.push(DnType::CommonName, first);
        params.subject_alt_names = names.iter().map(|name| alternative(name)).collect();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = usages;
        params.use_authority_key_identifier_extension = true;
        life.apply(&mut params);
        let key = KeyPair::generate().expect("a key can be made");
        let signed = params.signed_by(&key, &self.issuer).expect("the authority signs");
        // Each has files of its own, however many are for one name.
        let folder =
            tempfile::Builder::new().tempdir_in(self.folder.path()).expect("a folder can be made").keep();
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).expect("a file can be written");
            path
        };
        let (certificate, key) = (signed.pem(), key.serialize_pem());
        Identity {
            certificate: write("cert.pem", &certificate),
            key: write("key.pem", &key),
            both: write("both.pem", &format!("{certificate}{key}")),
        }
    }
}

fn alternative(name: &str) -> SanType {
    let text = || name.try_into().expect("it is ASCII");
    match name.parse::<IpAddr>() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) if name.starts_with("sip:") => SanType::URI(text()),
        Err(_) => SanType::DnsName(text()),
    }
}

impl Identity {
    /// The keys `certificate` and `key` of a table of our configuration.
    pub fn config(&self) -> String {
        format!("certificate = {}\nkey = {}\n", quoted(&self.certificate), quoted(&self.key))
    }
}

/// A path as a string of TOML.
pub fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display())
}
