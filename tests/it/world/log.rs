//! What the whole test process logged, for tests that look for what must not be there.

use std::{
    io::{self, Write},
    sync::{Mutex, Once},
};

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static ONCE: Once = Once::new();

struct Sink;

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// From now on everything of ours is kept, down to the finest level.
pub(crate) fn capture() {
    ONCE.call_once(|| {
        tracing_subscriber::fmt()
            .with_env_filter("info,tollgate=trace")
            .with_ansi(false)
            .with_writer(|| Sink)
            .init();
    });
}

/// The log so far.
pub(crate) fn text() -> String {
    String::from_utf8_lossy(&LINES.lock().unwrap()).into_owned()
}
