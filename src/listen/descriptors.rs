//! How many files and sockets the process may have open: a flood of connections must leave some for the dashboard and the audit.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit to what the system allows this process, as it is often 1024 for no better reason than `select`. Where that is
/// refused, it stays.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!("the limit on open files cannot be raised: {error}");
    }
}

/// As many of these connections as there are descriptors for: each may need a second one, to the upstream or an interceptor.
pub(super) fn affordable(connections: usize) -> usize {
    let Some(limit) = getrlimit(Resource::Nofile).current else {
        return connections;
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let most = (limit.saturating_sub(RESERVED) / 2).max(1);
    if most < connections {
        tracing::warn!(
            max_connections = connections,
            open_files = limit,
            "only {most} connections are taken at once: this process may have {limit} files open; raise that (`ulimit -n`, \
             `LimitNOFILE=`) to {}, or lower `listen.max_connections`",
            connections.saturating_mul(2).saturating_add(RESERVED),
        );
    }
    connections.min(most)
}

/// For listeners, the dashboard, the audit, sinks and health checks.
const RESERVED: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_connections_are_taken_than_there_are_descriptors_for() {
        assert_eq!(affordable(10), 10);
        if let Some(limit) = getrlimit(Resource::Nofile).current {
            let limit = usize::try_from(limit).unwrap();
            assert!(affordable(usize::MAX) * 2 < limit.max(RESERVED + 3));
        }
    }
}
