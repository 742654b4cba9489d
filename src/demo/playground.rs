//! What there is to try while the demo keeps serving.

use std::net::SocketAddr;

use super::Demo;

/// Addresses, people, and ready lines for a shell.
pub(super) fn text(demo: &Demo, dashboard: SocketAddr) -> String {
    let (url, upstream) = (demo.public_url(), demo.provider().url());
    let config = demo.config_path();
    let config = config.display();
    format!(
        r#"
Now you. Everything keeps running until Ctrl-C.

  the dashboard   http://{dashboard}
  in a browser    {url}/signup
  configuration   {config}
  the records     tollgate audit list --config {config}
  the accounts    curl {upstream}/api/users      (behind Tollgate's back)

People: ada@example.com / correct-horse, bob@example.com / battery-staple, and
grace@bigcorp.example / rear-admiral, whose company has SSO.

PRE_SIGNUP               disposable addresses are stopped: change the domain to mailinator.com

  curl -i {url}/signup \
    -d name=You -d email=you@example.com -d password=secret

PRE_SESSION_CREATION     tokens get roles and feature flags, which introspection shows as well;
                         as username=grace@bigcorp.example, password=rear-admiral: denied

  TOKEN=$(curl -s {url}/token -u web:web-secret \
    -d grant_type=password -d username=ada@example.com -d password=correct-horse |
    sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  curl -i {url}/introspect -u web:web-secret -d token=$TOKEN

PRE_USER_INVITATION      a team has four seats: org_tea is full, org_steam has room

  curl -i {url}/api/organizations/org_steam/invitations \
    -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
    -d '{{"email": "guest@example.com"}}'

PRE_M2M_TOKEN_CREATION   no `reports:write`, no `admin`, five tokens a minute: send it six times

  curl -i {url}/token -u batch:batch-secret \
    -d grant_type=client_credentials -d scope=reports:read+reports:write
"#
    )
}
