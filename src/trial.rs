//! Trying interceptors out: one event sent as a dry run, and everything that there is to see of it. The command line and the
//! dashboard show the same. Nothing here is recorded, and no breaker, cap or count of production notices it.

mod case;
mod claims;
mod curl;
mod expectation;
mod folder;
mod mark;
mod places;
mod replay;
mod report;
mod shape;
mod shapes;
mod submission;

pub use self::{
    case::{Case, CaseName, Tried},
    claims::{Change, Claim},
    curl::curl,
    expectation::Expectation,
    folder::{Cases, CasesError, Settings},
    mark::{Mark, Severity},
    replay::{Difference, Outcome, Pace, Replayed, replay},
    report::{Report, try_out},
    submission::{Submission, masked},
};
