//! Replicas that share an audit share the limits on failing open.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::{
    audit::{Audit, Consultations, FailOpens},
    interceptor::{Counted, Counts, SharedMinute},
};

/// The counts of one environment, in the audit's database.
#[derive(Debug)]
struct Together {
    environment: String,
    fail_opens: FailOpens,
}

/// Where the interceptors of an environment count; `None` where nobody else does.
pub(super) fn together(environment: &str, audit: &Audit) -> Option<Arc<dyn SharedMinute>> {
    Some(Arc::new(Together {
        environment: environment.to_owned(),
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
            let (all, failed) = self.fail_opens.add(&self.environment, interceptor, &counted).await?;
            Some(Counts { all, failed })
        })
    }
}
