//! What the supervisor of the process is told: systemd's notifications (sd_notify(3)). Without a supervisor that listens, nothing happens.

use sd_notify::NotifyState;

/// Connections are taken. `status` is the line that `systemctl status` shows.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The configuration is being loaded again; [`reloaded`] follows.
pub fn reloading() {
    // systemd tells this reload from the one before by the time.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!("there is no monotonic clock: {error}"),
    }
}

/// That has come to its end, well or not: one configuration or the other serves.
pub fn reloaded() {
    tell(&[NotifyState::Ready]);
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
