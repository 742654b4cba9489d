//! Two demo providers behind one listener, told apart by the host of a request.

use std::{fs, ops::Deref, sync::Arc};

use tollgate::{
    clock::Clock,
    demo::provider::{Options, Provider},
    event::Trigger,
};

use super::{
    client::Client,
    hook::{Hook, SECRET},
    keys,
    proxy::{Proxy, free_address},
};

/// The hosts of the two.
pub(crate) const HOSTS: [&str; 2] = ["login.example.com", "sso.example.com"];

/// An installation with the upstreams `customers` and `staff`.
pub(crate) struct Two {
    pub(crate) customers: Side,
    pub(crate) staff: Side,
    pub(crate) hook: Hook,
    pub(crate) proxy: Proxy,
}

/// One of them, as its clients see it.
pub(crate) struct Side {
    pub(crate) provider: Provider,
    client: Client,
}

impl Deref for Side {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Side {
    /// The requests that reached the provider with this path.
    pub(crate) fn arrived(&self, path: &str) -> usize {
        self.provider.requests().iter().filter(|r| r.path == path).count()
    }
}

impl Two {
    /// With these lines at the end of the file; `{hooks}` stands for the interceptors' address.
    pub(crate) async fn start(more: &str) -> Self {
        let [customers, staff] = [provider(HOSTS[0]).await, provider(HOSTS[1]).await];
        let hook = Hook::start().await;
        let folder = Arc::new(tempfile::tempdir().unwrap());
        fs::write(folder.path().join("hook.key"), SECRET).unwrap();
        for _ in 0..20 {
            let address = free_address();
            let text = format!(
                "environment = \"test\"\n\n[listen]\naddress = \"{address}\"\n\n{}\n{}\n\
                 [admin]\naddress = \"127.0.0.1:0\"\n\n[reload]\nwatch = false\n\n{}",
                upstream("customers", HOSTS[0], &customers.url(), keys::shared()),
                upstream("staff", HOSTS[1], &staff.url(), keys::second()),
                more.replace("{hooks}", &hook.url()),
            );
            match Proxy::of(&folder, &text, Clock::system()).await {
                Ok(proxy) => {
                    let side = |provider, host| Side {
                        provider,
                        client: Client::named(&proxy.url, host),
                    };
                    return Self {
                        customers: side(customers, HOSTS[0]),
                        staff: side(staff, HOSTS[1]),
                        hook,
                        proxy,
                    };
                }
                Err(errors) if errors.to_string().contains("cannot listen on") => {}
                Err(errors) => panic!("{errors}"),
            }
        }
        panic!("no free port");
    }
}

/// An `[[upstream]]` with keys of its own.
pub(crate) fn upstream(name: &str, host: &str, url: &str, keys: &std::path::Path) -> String {
    let keys = keys.display();
    format!(
        "[[upstream]]\nname = \"{name}\"\npublic_url = \"http://{host}\"\nurl = \"{url}\"\npreset = \"generic\"\n\
         tokens = {{ keys = \"{keys}/signing\", capsule_secret = {{ file = \"{keys}/capsule.key\" }} }}\n"
    )
}

/// An `[[interceptor]]` of the endpoint that is named like it.
pub(crate) fn interceptor(name: &str, trigger: Trigger, more: &str) -> String {
    format!(
        "[[interceptor]]\nname = \"{name}\"\ntrigger = \"{trigger}\"\nendpoint = \"{{hooks}}/{name}\"\n\
         secret = {{ file = \"hook.key\" }}\non_failure = \"deny\"\n{more}\n\n"
    )
}

async fn provider(host: &str) -> Provider {
    Provider::start(Options::new(format!("http://{host}"))).await.unwrap()
}
