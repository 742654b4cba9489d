//! What the supervisor of the process is told: systemd's notifications (sd_notify(3)). Without a supervisor that listens, nothing happens.

use sd_notify::NotifyState;

/// Connections are taken. `status` is the line that `systemctl status` shows.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The process is about to end: no more connections are taken.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("requests in flight finish")]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("the supervisor cannot be told how it stands: {error}");
    }
}
