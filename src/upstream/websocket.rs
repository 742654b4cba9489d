//! WebSockets (RFC 6455): two connections joined once the upstream agreed.

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::upgrade::{self, OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::{Upstream, UpstreamError, hops};
use crate::body::{self, Body};

pub(super) async fn upgrade(
    upstream: &Upstream,
    mut request: Request<Body>,
    tasks: &TaskTracker,
) -> Result<Response<Body>, UpstreamError> {
    let client = upgrade::on(&mut request);
    hops::clean_request(request.headers_mut());
    name_websocket(request.headers_mut());
    // A handshake is a GET without a body; what came after it belongs to the WebSocket.
    let request = upstream.inner.addressed(request.map(|_| body::empty()))?;
    let mut response = upstream.relayed(request, |address| &address.http1).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(response);
    }
    let agreed = response.headers().get(header::UPGRADE);
    if !agreed.is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket")) {
        return Err(UpstreamError::Broken(
            "it switches to a protocol that nobody asked for".into(),
        ));
    }
    let server = upgrade::on(&mut response);
    tasks.spawn(join(client, server));
    let mut response = response.map(|_| body::empty());
    hops::clean_response(response.headers_mut());
    name_websocket(response.headers_mut());
    Ok(response)
}

async fn join(client: OnUpgrade, server: OnUpgrade) {
    let (client, server) = match tokio::try_join!(client, server) {
        Ok(both) => both,
        Err(error) => return debug!("a WebSocket came to nothing: {error}"),
    };
    match tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(server)).await {
        Ok((sent, received)) => debug!(sent, received, "a WebSocket ended"),
        Err(error) => debug!("a WebSocket broke: {error}"),
    }
}

fn name_websocket(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}
