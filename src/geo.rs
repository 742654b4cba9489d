//! Where an address is, by a file that the operator names.

use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use maxminddb::{Reader, geoip2::City};
use serde::Deserialize;

use crate::misconfigured::Misconfigured;

/// `[geo]` in `proxy.toml`: where clients are, for `region` and `city` of events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// A database of cities in the MaxMind DB format, such as `GeoLite2-City.mmdb`; it is read once, at the start. Without
    /// one, events have neither `region` nor `city`.
    pub database: Option<PathBuf>,
}

/// The database, in memory. Without one every place is unknown.
#[derive(Clone, Default)]
pub struct Geo(Option<Arc<Reader<Vec<u8>>>>);

/// What is known of where an address is: names in English.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The first subdivision of the country, such as `Bavaria`.
    pub region: Option<String>,
    /// The city.
    pub city: Option<String>,
}

impl Geo {
    /// Reads the database; a relative path is looked up below `base`, the folder of `proxy.toml`.
    ///
    /// # Errors
    /// A file that is not there or is no such database.
    pub fn open(settings: &Settings, base: &Path) -> Result<Self, Misconfigured> {
        let Some(file) = &settings.database else {
            return Ok(Self::default());
        };
        let path = base.join(file);
        let reader = Reader::open_readfile(&path).map_err(|e| {
            Misconfigured::new(
                "geo.database",
                format!("`{}` cannot be read as a database of places: {e}", path.display()),
            )
            .hint("name a file in the MaxMind DB format (`.mmdb`) that has cities, or leave `database` out")
        })?;
        Ok(Self(Some(Arc::new(reader))))
    }

    /// What the database calls itself, and when it was built, in seconds since 1970.
    pub fn description(&self) -> Option<(&str, u64)> {
        let metadata = self.0.as_ref()?.metadata();
        Some((&metadata.database_type, metadata.build_epoch))
    }

    /// Where an address is. What the database does not have, or has in another form, is unknown.
    pub fn place(&self, address: IpAddr) -> Place {
        self.found(address).unwrap_or_default()
    }

    fn found(&self, address: IpAddr) -> Option<Place> {
        // A listener on `[::]` sees IPv4 clients as `::ffff:a.b.c.d`, which databases do not have.
        let found = self.0.as_ref()?.lookup(address.to_canonical()).ok()?;
        let city: City<'_> = found.decode().ok()??;
        let name = |name: Option<&str>| name.filter(|name| !name.is_empty()).map(str::to_owned);
        Some(Place {
            region: name(city.subdivisions.first().and_then(|largest| largest.names.english)),
            city: name(city.city.names.english),
        })
    }
}

impl fmt::Debug for Geo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Geo").field(&self.description()).finish()
    }
}

#[cfg(test)]
mod tests;
