//! Ending a session on a client's behalf (OIDC RP-Initiated Logout).

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect, Response},
};

use super::{
    answer::page,
    authorize::cookie,
    fields::Fields,
    realm::{Kind, Realm},
};

/// `GET` and `POST /logout`. The session is the one of `id_token_hint`, which may have expired, or of the cookie.
pub(super) async fn logout(State(realm): State<Arc<Realm>>, headers: HeaderMap, fields: Fields) -> Response {
    let refuse = |text: &str| {
        page(
            StatusCode::BAD_REQUEST,
            "Not logged out",
            &format!("<p class=\"wrong\">{text}</p>"),
        )
    };
    let hinted = match fields.get("id_token_hint") {
        None => None,
        Some(raw) => {
            let grant = hinted(&realm, raw);
            if grant.is_none() {
                return refuse("The ID token in this link is none of ours.");
            }
            grant
        }
    };
    let client = hinted
        .as_ref()
        .map(|(client, _)| client.as_str())
        .or(fields.get("client_id"));
    let back = match (
        fields.get("post_logout_redirect_uri"),
        client.and_then(|id| realm.client(id)),
    ) {
        (None, _) => None,
        (Some(uri), Some(client)) if client.redirect_uris.iter().any(|known| known == uri) => Some(uri),
        (Some(_), _) => return refuse("The address to go back to is not registered."),
    };
    let of_cookie = || Some(realm.books().sessions.get(&cookie(&headers)?)?.sid.clone());
    if let Some(sid) = hinted.map(|(_, sid)| sid).or_else(of_cookie) {
        realm.books().end_session(&sid);
    }
    let Some(back) = back else {
        return page(StatusCode::OK, "Logged out", "<p>See you soon.</p>");
    };
    let mut target = back.to_owned();
    if let Some(state) = fields.get("state") {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("state", state);
        target.push(if back.contains('?') { '&' } else { '?' });
        target.push_str(&query.finish());
    }
    Redirect::to(&target).into_response()
}

/// Client and session of an ID token that was made here, whatever became of it since.
fn hinted(realm: &Realm, raw: &str) -> Option<(String, String)> {
    realm.keys.verify(raw)?;
    let books = realm.books();
    let token = books.tokens.get(raw).filter(|token| token.kind == Kind::Id)?;
    let grant = books.grants.get(&token.grant)?;
    Some((grant.client.clone(), grant.session.as_ref()?.sid.clone()))
}
