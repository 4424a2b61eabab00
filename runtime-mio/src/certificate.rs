//! The certificate for HTTPS: read from files, or made at start.

use std::path::Path;

use cordboard_core::tls::Acceptor;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Reads a chain and its key from PEM files.
pub(crate) fn load(certificate: &Path, key: &Path) -> Result<Acceptor, String> {
    let wrong = |path: &Path, e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(certificate).map_err(|e| wrong(certificate, &e))?.collect();
    let chain = chain.map_err(|e| wrong(certificate, &e))?;
    if chain.is_empty() {
        return Err(wrong(certificate, &"there is no certificate in it"));
    }
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|e| wrong(key, &e))?;
    Acceptor::new(chain, key_der).map_err(|e| wrong(certificate, &e))
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

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    use sha2::Digest;
    let hash = sha2::Sha256::digest(certificate);
    let pairs: Vec<String> = hash.iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}
