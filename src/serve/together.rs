//! Replicas that share an audit share the limits on failing open.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::{
    audit::{Audit, Consultations, FailOpens},
    interceptor::{Counted, Counts, SharedMinute},
};

/// The counts of one upstream of an environment, in the audit's database.
#[derive(Debug)]
struct Together {
    place: String,
    fail_opens: FailOpens,
}

/// Where the interceptors of an environment, or of one of its upstreams, count; `None` where nobody else does.
pub(super) fn together(environment: &str, upstream: Option<&str>, audit: &Audit) -> Option<Arc<dyn SharedMinute>> {
    Some(Arc::new(Together {
        place: upstream.map_or_else(|| environment.to_owned(), |name| format!("{environment}/{name}")),
        fail_opens: audit.fail_opens()?.clone(),
    }))
}

impl SharedMinute for Together {
    fn add<'a>(&'a self, interceptor: &'a str, counted: &'a [Counted]) -> BoxFuture<'a, Option<Counts>> {
        Box::pin(async move {
            let counted = counted.iter().map(|counted| Consultations {
                age: counted.age,
                all: counted.counts.all,
                failed: counted.counts.failed,
            });
            let counted: Vec<_> = counted.collect();
            let (all, failed) = self.fail_opens.add(&self.place, interceptor, &counted).await?;
            Some(Counts { all, failed })
        })
    }
}
