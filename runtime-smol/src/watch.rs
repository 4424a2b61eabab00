//! Watching the users file: whoever writes it anew, in place or by renaming another onto it, is noticed.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use smol::Async;

/// Watches one file through its folder, since editors and `cordboard user` replace it.
pub(crate) struct Watch {
    inotify: Async<Inotify>,
    name: OsString,
}

impl Watch {
    /// Begins to watch.
    pub(crate) fn new(file: &Path) -> io::Result<Self> {
        let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        inotify.add_watch(folder, AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO)?;
        Ok(Self { inotify: Async::new_nonblocking(inotify)?, name })
    }

    /// Waits until the file is written.
    pub(crate) async fn written(&self) -> io::Result<()> {
        loop {
            self.inotify.readable().await?;
            if let Ok(events) = self.inotify.get_ref().read_events()
                && events.iter().any(|event| event.name.as_ref() == Some(&self.name))
            {
                return Ok(());
            }
        }
    }
}
