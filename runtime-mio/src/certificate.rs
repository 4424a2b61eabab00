//! The certificate for HTTPS: read from files, or made at start.

use std::path::{Path, PathBuf};

use cordboard_core::tls::Acceptor;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// PEM files of a chain, the server's own certificate first, and its key.
#[derive(Clone, Debug)]
pub(crate) struct CertificateFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl CertificateFiles {
    /// Reads them; the error is one line.
    pub(crate) fn load(&self) -> Result<Acceptor, String> {
        let Self { certificate, key } = self;
        let unreadable = |path: &Path, error: &dyn std::fmt::Display| {
            format!("{} cannot be read: {error}", path.display())
        };
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unreadable(certificate, &error))?;
        if chain.is_empty() {
            return Err(format!("{} has no certificate in PEM form", certificate.display()));
        }
        let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, &error))?;
        Acceptor::new(chain, private).map_err(|error| {
            format!("{} and {} cannot be used: {error}", certificate.display(), key.display())
        })
    }
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
