//! Why a call brought no answer: whether the endpoint was away or wrong, in a sentence, and whether to try again.

use std::{error::Error, io, time::Duration};

use hyper_util::client::legacy;

use super::{
    super::{
        address::Barred,
        answer::{down, invalid},
    },
    connect::Heard,
};
use crate::verdict::Failure;

/// A call without an answer that can be judged.
#[derive(Debug)]
pub(super) struct Miss {
    pub(super) failure: Failure,
    /// Only where the endpoint cannot have begun to answer.
    pub(super) retryable: bool,
}

impl From<Failure> for Miss {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            retryable: false,
        }
    }
}

impl Miss {
    /// The call failed before the head of an answer was there.
    pub(super) fn before_the_head(error: &legacy::Error) -> Self {
        let chain = Chain::of(error);
        if error.is_connect() {
            return Self {
                failure: down(chain.connecting()),
                retryable: chain.was_cut_off(),
            };
        }
        if chain.hyper.is_some_and(hyper::Error::is_parse) {
            return invalid(format!("the answer is not HTTP: {}", chain.last)).into();
        }
        let untouched = error.connect_info().is_some_and(|connected| {
            let mut extensions = http::Extensions::new();
            connected.get_extras(&mut extensions);
            let heard = extensions.get::<Heard>().is_some_and(Heard::anything);
            !connected.is_negotiated_h2() && !heard
        });
        let cut_off = chain.was_cut_off();
        Self {
            failure: down(if cut_off {
                "the connection was closed before an answer".into()
            } else {
                format!("the call failed: {}", chain.last)
            }),
            retryable: cut_off && untouched,
        }
    }

    /// The head was there and the body did not come whole.
    pub(super) fn in_the_body(error: &hyper::Error) -> Self {
        let chain = Chain::of(error);
        let malformed = chain
            .io
            .is_some_and(|io| matches!(io.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData));
        if malformed || error.is_parse() {
            return invalid(format!("the answer's body is not HTTP: {}", chain.last)).into();
        }
        down("the connection was closed in the middle of the answer").into()
    }

    /// Time is up.
    pub(super) fn timeout(after: Duration, doing: &str) -> Self {
        down(format!("timed out after {} ms while {doing}", after.as_millis())).into()
    }
}

/// An error's causes, outermost first, and what is known about them.
struct Chain<'a> {
    hyper: Option<&'a hyper::Error>,
    io: Option<&'a io::Error>,
    tls: Option<&'a rustls::Error>,
    barred: Option<&'a Barred>,
    is_dns: bool,
    last: String,
}

impl<'a> Chain<'a> {
    fn of(error: &'a (dyn Error + 'static)) -> Self {
        let mut chain = Self {
            hyper: None,
            io: None,
            tls: None,
            barred: None,
            is_dns: false,
            last: String::new(),
        };
        let mut next = Some(error);
        while let Some(error) = next {
            chain.note(error);
            next = error.source();
        }
        chain
    }

    fn note(&mut self, error: &'a (dyn Error + 'static)) {
        self.last = error.to_string();
        self.is_dns |= self.last == "dns error";
        self.hyper = error.downcast_ref().or(self.hyper);
        self.tls = error.downcast_ref().or(self.tls);
        self.barred = error.downcast_ref().or(self.barred);
        if let Some(io) = error.downcast_ref::<io::Error>() {
            self.io = Some(io);
            // `io::Error::source` goes on below the error that it wraps, so that one is looked at here.
            if let Some(inner) = io.get_ref() {
                self.note(inner);
            }
        }
    }

    fn connecting(&self) -> String {
        if let Some(barred) = self.barred {
            return barred.to_string();
        }
        if let Some(tls) = self.tls {
            return format!("TLS failed: {tls}");
        }
        if self.is_dns {
            return format!("the name cannot be resolved: {}", self.last);
        }
        match self.io.map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionRefused) => "the connection was refused".into(),
            _ if self.was_cut_off() => "the connection was reset while it was set up".into(),
            _ => format!("the connection failed: {}", self.last),
        }
    }

    /// Refused, reset, or closed where more was due.
    fn was_cut_off(&self) -> bool {
        self.hyper
            .is_some_and(|error| error.is_incomplete_message() || error.is_canceled() || error.is_closed())
            || self.io.is_some_and(|io| {
                matches!(
                    io.kind(),
                    io::ErrorKind::ConnectionRefused
                        | io::ErrorKind::ConnectionReset
                        | io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::BrokenPipe
                        | io::ErrorKind::UnexpectedEof
                        | io::ErrorKind::NotConnected
                )
            })
    }
}
