//! The rows of a preset, and which of them may fit a path.

use std::{ops::Deref, slice::Iter, sync::Arc};

use crate::route::{Index, Route};

/// Rows in their order: the first match counts. However many there are, a request is compared with those alone that may fit its path.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    rows: Vec<Arc<Route>>,
    index: Index,
}

impl Routes {
    /// The rows that may fit this path, in order.
    pub(super) fn near(&self, path: &str) -> impl Iterator<Item = &Arc<Route>> {
        let places = self.index.places(path).into_iter();
        places.filter_map(|place| self.rows.get(place))
    }

    /// Changes the rows, and says what the change says.
    pub(super) fn change<T>(&mut self, change: impl FnOnce(&mut Vec<Arc<Route>>) -> T) -> T {
        let said = change(&mut self.rows);
        self.index = Index::new(self.rows.iter().map(|row| &row.path));
        said
    }
}

impl From<Vec<Arc<Route>>> for Routes {
    fn from(rows: Vec<Arc<Route>>) -> Self {
        let index = Index::new(rows.iter().map(|row| &row.path));
        Self { rows, index }
    }
}

impl Deref for Routes {
    type Target = [Arc<Route>];

    fn deref(&self) -> &Self::Target {
        &self.rows
    }
}

impl<'r> IntoIterator for &'r Routes {
    type Item = &'r Arc<Route>;
    type IntoIter = Iter<'r, Arc<Route>>;

    fn into_iter(self) -> Self::IntoIter {
        self.rows.iter()
    }
}
