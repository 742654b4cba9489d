//! WebSockets (RFC 6455): two connections become one tunnel, once the upstream said 101.

use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio_util::task::TaskTracker;

use super::{Upstream, UpstreamError, headers};
use crate::body::{self, Body};

impl Upstream {
    /// Relays a request to switch to the WebSocket protocol. Whatever the upstream answers but 101 goes back as it is.
    pub async fn upgrade(
        &self,
        mut request: Request<Body>,
        tasks: &TaskTracker,
    ) -> Result<Response<Body>, UpstreamError> {
        let client = hyper::upgrade::on(&mut request);
        let mut outgoing = Request::new(body::empty());
        *outgoing.method_mut() = request.method().clone();
        *outgoing.uri_mut() = self.target(request.uri())?;
        outgoing.headers_mut().clone_from(request.headers());
        headers::strip_hop_by_hop(outgoing.headers_mut());
        ask_for_websocket(outgoing.headers_mut());
        let mut answer = self.send(outgoing).await?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            headers::strip_hop_by_hop(answer.headers_mut());
            return Ok(answer.map(|body| {
                http_body_util::BodyExt::boxed_unsync(http_body_util::BodyExt::map_err(body, Into::into))
            }));
        }
        let upstream = hyper::upgrade::on(&mut answer);
        tasks.spawn(async move {
            let (Ok(client), Ok(upstream)) = tokio::join!(client, upstream) else {
                return;
            };
            let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
            // Either side may break off; there is nobody to tell.
            _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
        });
        let mut response = Response::new(body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().clone_from(answer.headers());
        headers::strip_hop_by_hop(response.headers_mut());
        ask_for_websocket(response.headers_mut());
        Ok(response)
    }
}

fn ask_for_websocket(headers: &mut http::HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}
