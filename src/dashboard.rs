//! The operator's side: a listener of its own with pages about what runs, what was decided, and what needs attention.

mod access;
mod assets;
mod attention;
mod chart;
mod console;
mod escape;
mod failure;
mod frame;
mod health;
mod interceptors;
mod keys;
mod log;
mod overview;
mod records;
mod reloading;
mod routes;
mod row;
mod settings;

use std::net::SocketAddr;

use axum::{Router, middleware, routing::get};
use http::{Request, Response};
use http_body_util::BodyExt;
use tower_service::Service;

use self::{access::Access, console::Console};
pub use self::{
    access::Ended,
    console::{Installation, Origins, Parts},
    reloading::{Attempt, Refused, Reloading, Standing},
    settings::{LoginSettings, Settings},
};
use crate::{body::Body, misconfigured::Misconfigured};

/// The dashboard, ready to be served. Cheap to clone.
#[derive(Clone)]
pub struct Dashboard {
    routes: Router,
}

impl Dashboard {
    /// Reads the secrets of `[admin]` and puts the pages together.
    ///
    /// # Errors
    /// What is wrong with `[admin]`, each under `admin.…`.
    pub fn build(settings: &Settings, parts: Parts) -> Result<Self, Vec<Misconfigured>> {
        let access = Access::build(settings, &parts)?;
        let console = Console::new(parts, access);
        let pages = Router::new()
            .route("/", get(overview::page))
            .merge(interceptors::routes())
            .merge(log::routes())
            .merge(routes::routes())
            .merge(reloading::routes())
            .route("/keys", get(keys::page))
            .merge(access::routes())
            .fallback(failure::no_such_page);
        let routes = Router::new()
            .merge(pages)
            .route("/healthz", get(health::alive))
            .route("/readyz", get(health::ready))
            .route("/metrics", get(health::metrics))
            .route("/assets/{name}", get(assets::serve))
            .layer(middleware::from_fn_with_state(console.clone(), access::guard))
            .with_state(console);
        Ok(Self { routes })
    }

    /// One request of a browser.
    pub async fn serve(self, request: Request<Body>, _peer: SocketAddr) -> Response<Body> {
        let mut routes = self.routes;
        let answer = match routes.call(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        answer.map(|body| body.map_err(Into::into).boxed_unsync())
    }
}
