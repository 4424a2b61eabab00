//! Watching the users file: whoever writes it anew, in place or by renaming another onto it, is noticed.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use cordboard_core::Controller;
use mio::unix::SourceFd;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::net::event_loop::EventLoop;

/// Watches one file through its folder, since editors and `cordboard user` replace it.
pub(crate) struct Watch {
    inotify: Inotify,
    name: OsString,
}

impl Watch {
    /// Begins to watch; the loop tells by `token` that something has happened.
    pub(crate) fn new(file: &Path, event_loop: &EventLoop<Controller>, token: usize) -> io::Result<Self> {
        let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        inotify.add_watch(folder, AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO)?;
        event_loop.register(&mut SourceFd(&inotify.as_fd().as_raw_fd()), token)?;
        Ok(Self { inotify, name })
    }

    /// Whether the file was written since this was asked last.
    pub(crate) fn was_written(&self) -> bool {
        let mut written = false;
        // Read until nothing is left: the loop tells of new events only once.
        while let Ok(events) = self.inotify.read_events() {
            if events.is_empty() {
                break;
            }
            written |= events.iter().any(|event| event.name.as_ref() == Some(&self.name));
        }
        written
    }
}
