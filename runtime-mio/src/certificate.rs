//! Certificates: for HTTPS, read from files or made at start; for SIP over TLS, with the authorities that are trusted.

use std::path::{Path, PathBuf};

use cordboard_core::config::{ClientCertificates, Config};
use cordboard_core::tls::{Acceptor, AskClients, BadCertificate, SipTls, SipTlsParts};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::check::beside;

/// PEM files of a chain, the server's own certificate first, and its key.
#[derive(Clone, Debug)]
pub(crate) struct CertificateFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl CertificateFiles {
    /// The files of a configuration's keys, if both are set, relative to its folder.
    fn beside(config_path: &Path, certificate: Option<&str>, key: Option<&str>) -> Option<Self> {
        let file = |file| beside(config_path, file);
        Some(Self { certificate: file(certificate?), key: file(key?) })
    }

    /// The files for HTTPS, if they are named.
    pub(crate) fn for_https(config_path: &Path, config: &Config) -> Option<Self> {
        let Config { http, .. } = config;
        Self::beside(config_path, http.certificate.as_deref(), http.key.as_deref())
    }

    /// Reads them; the error is one line.
    pub(crate) fn load(&self) -> Result<Acceptor, String> {
        let (chain, key) = self.read()?;
        Acceptor::new(chain, key).map_err(|error| self.unusable(&error))
    }

    fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
        let chain = read_certificates(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| unreadable(&self.key, &error))?;
        Ok((chain, key))
    }

    fn unusable(&self, error: &BadCertificate) -> String {
        format!("{} and {} cannot be used: {error}", self.certificate.display(), self.key.display())
    }
}

/// At least one certificate.
fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(path, &error))?;
    if certificates.is_empty() {
        return Err(format!("{} has no certificate in PEM form", path.display()));
    }
    Ok(certificates)
}

fn unreadable(path: &Path, error: &pem::Error) -> String {
    format!("{} cannot be read: {error}", path.display())
}

/// Where systems keep the authorities that they trust.
const AUTHORITIES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// The files that SIP over TLS is spoken with.
#[derive(Clone, Debug)]
pub(crate) struct SipTlsFiles {
    own: Option<CertificateFiles>,
    /// None for the system's.
    authorities: Option<PathBuf>,
    clients: AskClients,
}

impl SipTlsFiles {
    /// The files that the configuration names, relative to its folder.
    pub(crate) fn new(config_path: &Path, config: &Config) -> Self {
        let Config { sip, .. } = config;
        Self {
            own: CertificateFiles::beside(config_path, sip.certificate.as_deref(), sip.key.as_deref()),
            authorities: sip.ca.as_deref().map(|file| beside(config_path, file)),
            clients: match sip.client_certificates {
                ClientCertificates::None => AskClients::No,
                ClientCertificates::Optional => AskClients::Optional,
                ClientCertificates::Required => AskClients::Required,
            },
        }
    }

    /// Reads them; the error is one line.
    pub(crate) fn load(&self) -> Result<SipTls, String> {
        self.load_with(&AUTHORITIES)
    }

    /// Reads them; without authorities of our own those of the first of these files that exists are trusted.
    fn load_with(&self, authorities: &[&str]) -> Result<SipTls, String> {
        let own = self.own.as_ref().map(CertificateFiles::read).transpose()?;
        let trusted = match &self.authorities {
            Some(file) => read_certificates(file)?,
            None => system_authorities(authorities),
        };
        if trusted.is_empty() && self.clients != AskClients::No {
            return Err(format!(
                "clients cannot be asked for certificates, since no authority is trusted: {} does not exist",
                authorities.join(" or ")
            ));
        }
        // Authorities that cannot be used are left out, so that it can only be our own files.
        let files = self.own.as_ref();
        SipTls::new(SipTlsParts { own, trusted, clients: self.clients })
            .map_err(|error| files.map_or_else(|| error.to_string(), |files| files.unusable(&error)))
    }
}

/// What the system trusts. That there is nothing is no reason not to start: only TLS needs it.
fn system_authorities(files: &[&str]) -> Vec<CertificateDer<'static>> {
    let Some(file) = files.iter().map(Path::new).find(|file| file.exists()) else {
        tracing::warn!("no authorities are trusted for SIP over TLS: {} does not exist", files.join(" or "));
        return Vec::new();
    };
    read_certificates(file).unwrap_or_else(|error| {
        tracing::warn!("no authorities are trusted for SIP over TLS: {error}");
        Vec::new()
    })
}

/// Makes a self-signed certificate for these names and logs its fingerprint, by which a careful client can know it.
pub(crate) fn self_signed(names: Vec<String>) -> Result<(Acceptor, CertificateDer<'static>), String> {
    let made = rcgen::generate_simple_self_signed(names).map_err(|e| format!("making a certificate: {e}"))?;
    let certificate = made.cert.der().clone();
    let fingerprint = fingerprint(&certificate);
    tracing::info!(sha256 = fingerprint, "a self-signed certificate was made for HTTPS");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let acceptor = Acceptor::new(vec![certificate.clone()], key).map_err(|e| e.to_string())?;
    Ok((acceptor, certificate))
}

/// SHA-256 as `openssl x509 -fingerprint -sha256` writes it.
fn fingerprint(certificate: &[u8]) -> String {
    use sha2::Digest;
    let hash = sha2::Sha256::digest(certificate);
    let pairs: Vec<String> = hash.iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn with(certificate: &str, key: &str) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            std::fs::write(folder.path().join("cert.pem"), certificate).expect("written");
            std::fs::write(folder.path().join("key.pem"), key).expect("written");
            Self(folder)
        }

        fn load(&self) -> Result<Acceptor, String> {
            let file = |name| self.0.path().join(name);
            let files = CertificateFiles { certificate: file("cert.pem"), key: file("key.pem") };
            let folder = format!("{}/", self.0.path().display());
            files.load().map_err(|error| error.replace(&folder, ""))
        }
    }

    fn pem() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("made");
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn a_certificate_and_its_key_are_taken() {
        let (certificate, key) = pem();
        Folder::with(&certificate, &key).load().expect("they fit");
        Folder::with(&format!("{certificate}{}", pem().0), &key).load().expect("a chain is taken too");
    }

    #[test]
    fn each_file_that_is_wrong_is_named() {
        let (certificate, key) = pem();
        let refused =
            |certificate: &str, key: &str| Folder::with(certificate, key).load().expect_err("wrong");
        assert_eq!(refused("nothing", &key), "cert.pem has no certificate in PEM form");
        assert!(refused(&certificate, "nothing").starts_with("key.pem cannot be read: "));
        let mixed = refused(&certificate, &pem().1);
        assert!(mixed.starts_with("cert.pem and key.pem cannot be used: "), "{mixed}");
    }

    /// The configuration with these lines for SIP.
    fn sip_tls(folder: &Folder, lines: &str, system: &[&str]) -> Result<SipTls, String> {
        let listen = "[sip]\ndomain = \"example.com\"\nlisten = [\"udp:127.0.0.1:0\"]\n";
        let config = Config::from_toml(&format!("{listen}proxy = \"sip:127.0.0.1\"\n{lines}")).expect("good");
        let files = SipTlsFiles::new(&folder.0.path().join("cordboard.toml"), &config);
        let path = format!("{}/", folder.0.path().display());
        files.load_with(system).map_err(|error| error.replace(&path, ""))
    }

    const OWN: &str = "certificate = \"cert.pem\"\nkey = \"key.pem\"\n";
    const ASKING: &str = "client_certificates = \"required\"\n";

    #[test]
    fn sip_over_tls_takes_a_certificate_and_authorities() {
        let (certificate, key) = pem();
        let folder = Folder::with(&certificate, &key);
        let authority = folder.0.path().join("cert.pem");
        let system = ["/nonexistent", authority.to_str().expect("a path")];
        for lines in [String::new(), OWN.to_owned(), format!("{OWN}ca = \"cert.pem\"\n{ASKING}")] {
            sip_tls(&folder, &lines, &[]).expect("nothing of the system is needed");
        }
        sip_tls(&folder, &format!("{OWN}{ASKING}"), &system).expect("the system's are trusted");
    }

    #[test]
    fn each_file_of_sip_that_is_wrong_is_named() {
        let (certificate, key) = pem();
        let refused = |certificate: &str, key: &str, lines: &str| {
            sip_tls(&Folder::with(certificate, key), lines, &["/nonexistent"]).expect_err("wrong")
        };
        assert_eq!(refused("", &key, OWN), "cert.pem has no certificate in PEM form");
        assert!(refused(&certificate, "", OWN).starts_with("key.pem cannot be read: "));
        let mixed = refused(&certificate, &pem().1, OWN);
        assert!(mixed.starts_with("cert.pem and key.pem cannot be used: "), "{mixed}");
        assert_eq!(refused("", &key, "ca = \"cert.pem\"\n"), "cert.pem has no certificate in PEM form");
        assert!(refused("", &key, "ca = \"ca.pem\"\n").starts_with("ca.pem cannot be read: "));
        let unasked = refused(&certificate, &key, &format!("{OWN}{ASKING}"));
        assert!(unasked.contains("no authority is trusted: /nonexistent does not exist"), "{unasked}");
        for error in [mixed, unasked] {
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    #[test]
    fn a_system_without_usable_authorities_is_no_reason_not_to_start() {
        let folder = Folder::with("nothing", "nothing");
        let empty = folder.0.path().join("cert.pem");
        for system in [vec!["/nonexistent"], vec![empty.to_str().expect("a path")]] {
            sip_tls(&folder, "", &system).expect("nobody is trusted");
        }
    }

    #[test]
    fn a_self_signed_certificate_is_made_for_names_and_addresses() {
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        self_signed(names).expect("made");
    }

    #[test]
    fn the_fingerprint_is_written_in_pairs() {
        let known =
            "BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:B0:03:61:A3:96:17:7A:9C:B4:10:FF:61:F2:00:15:AD";
        assert_eq!(fingerprint(b"abc"), known);
    }
}
