//! The files that a service lives on, read at its start and again while it runs.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use cordboard_core::config::Config;
use cordboard_core::io::Input;
use cordboard_core::sip::resolve::Names;
use cordboard_core::tls::Acceptor;
use cordboard_core::users::Directory;

use crate::certificate::{CertificateFiles, SipTlsFiles, self_signed};
use crate::check::{beside, read_users};

const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";

/// The files of one service.
#[derive(Debug)]
pub(crate) struct Files {
    users: PathBuf,
    realm: String,
    /// None where the certificate is made at start, or there is none.
    certificate: Option<CertificateFiles>,
    sip_tls: SipTlsFiles,
    /// None for the system's.
    nameservers: Option<Vec<SocketAddr>>,
}

impl Files {
    /// The files that the configuration names, relative to its folder.
    pub(crate) fn new(config_path: &Path, config: &Config) -> Self {
        let nameservers = &config.sip.nameservers;
        Self {
            users: beside(config_path, &config.users.file),
            realm: config.realm().to_owned(),
            certificate: CertificateFiles::for_https(config_path, config),
            sip_tls: SipTlsFiles::new(config_path, config),
            nameservers: (!nameservers.is_empty())
                .then(|| nameservers.iter().map(|server| server.0).collect()),
        }
    }

    /// The users file.
    pub(crate) fn users_file(&self) -> &Path {
        &self.users
    }

    /// Reads the users for the first time; the error is one line.
    pub(crate) fn users(&self) -> Result<Directory, String> {
        read_users(&self.users, &self.realm)
    }

    /// Reads everything else for the first time: what the machine is to be given before all. The error is one line.
    pub(crate) fn first(&self, config: &Config) -> Result<Vec<Input<'static>>, String> {
        let mut inputs = vec![self.names(), Input::SipTls(Box::new(self.sip_tls.load()?))];
        if let Some(acceptor) = self.acceptor(config)? {
            inputs.push(Input::Certificate(Box::new(acceptor)));
        }
        Ok(inputs)
    }

    /// The certificate for HTTPS, if there are HTTPS listeners.
    fn acceptor(&self, config: &Config) -> Result<Option<Acceptor>, String> {
        if config.http.https.is_empty() {
            return Ok(None);
        }
        if let Some(files) = &self.certificate {
            return files.load().map(Some);
        }
        let mut names = vec!["localhost".to_owned()];
        names.extend(config.http.https.iter().map(|address| address.ip().to_string()));
        self_signed(names).map(|(acceptor, _)| Some(acceptor))
    }

    /// Reads all again; what cannot be used stays as it was.
    pub(crate) fn reload(&self) -> Vec<Input<'static>> {
        let certificate = self.certificate.as_ref().and_then(|files| {
            let acceptor = again("the certificate", files.load())?;
            Some(Input::Certificate(Box::new(acceptor)))
        });
        let sip_tls = again("TLS for SIP", self.sip_tls.load()).map(|tls| Input::SipTls(Box::new(tls)));
        [self.reload_users(), certificate, sip_tls, Some(self.names())].into_iter().flatten().collect()
    }

    /// Reads the users again, unless the file cannot be used.
    pub(crate) fn reload_users(&self) -> Option<Input<'static>> {
        match self.users() {
            Ok(users) => {
                tracing::info!(users = users.users().len(), "users were read again");
                Some(Input::Reload(Box::new(users)))
            }
            Err(wrong) => {
                tracing::error!("the users stay as they were: {wrong}");
                None
            }
        }
    }

    /// What the system knows of names.
    fn names(&self) -> Input<'static> {
        let names = Names::read(&text(Path::new(RESOLV_CONF)), &text(Path::new(HOSTS)));
        Input::Names(Box::new(match &self.nameservers {
            Some(servers) => names.with_servers(servers.clone()),
            None => names,
        }))
    }
}

/// What was read again, unless that cannot be used; either is logged.
fn again<T>(what: &str, read: Result<T, String>) -> Option<T> {
    match &read {
        Ok(_) => tracing::info!("{what} was read again"),
        Err(wrong) => tracing::error!("{what} stays as it was: {wrong}"),
    }
    read.ok()
}

/// The text of a file of the system's; empty if there is none. Bytes that are no text are none of a name.
fn text(path: &Path) -> String {
    match std::fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => {
            if error.kind() != ErrorKind::NotFound {
                tracing::warn!("{} cannot be read: {error}", path.display());
            }
            String::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_system_that_is_missing_or_no_text_is_read_as_far_as_it_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("hosts");
        assert_eq!(text(&file), "");
        std::fs::write(&file, b"192.0.2.1 a\n# \xff\n192.0.2.2 b\n").expect("written");
        let lines: Vec<String> = text(&file).lines().map(str::to_owned).collect();
        assert_eq!((lines[0].as_str(), lines[2].as_str()), ("192.0.2.1 a", "192.0.2.2 b"));
        assert_eq!(text(folder.path()), "", "a folder cannot be read");
    }
}
