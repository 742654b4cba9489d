//! The composition root: a configuration becomes a running proxy, which ends when it is told to.

use std::{net::SocketAddr, sync::Arc};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    config::Config,
    gate::{Gate, Parts},
    listen::Listener,
    misconfigured::Misconfigured,
};
