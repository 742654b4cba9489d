//! What Tollgate does, shown through its front door: real sockets on every side, a whole configuration each time.

#[cfg(test)]
mod cases;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod consults;
#[cfg(test)]
mod dashboard;
#[cfg(test)]
mod denials;
#[cfg(test)]
mod egress;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod fuzzed;
#[cfg(test)]
mod http;
#[cfg(test)]
mod invariants;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod logout;
#[cfg(test)]
mod observed;
#[cfg(test)]
mod other_providers;
#[cfg(test)]
mod overload;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod project;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod replicas;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod signups;
#[cfg(test)]
mod supervised;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod transport;
#[cfg(test)]
mod upstreams;
#[cfg(test)]
mod world;
