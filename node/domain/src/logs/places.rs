//! How many may follow the log: a bounded number of viewers, and of each a bounded number.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use super::Viewer;

/// The most followers of a node.
const FOLLOWERS_MAX: usize = 64;
/// The most of them that are one client's.
const OF_A_CLIENT_MAX: usize = 8;

/// How many follow.
#[derive(Debug, Default)]
pub(super) struct Places {
    taken: Mutex<HashMap<Viewer, usize>>,
}

impl Places {
    pub(super) fn take(self: &Arc<Self>, viewer: &Viewer) -> Option<Place> {
        let mut taken = self.taken.lock();
        let max = if matches!(viewer, Viewer::Operator) { FOLLOWERS_MAX } else { OF_A_CLIENT_MAX };
        let of_this = taken.get(viewer).copied().unwrap_or(0);
        if of_this >= max || taken.values().sum::<usize>() >= FOLLOWERS_MAX {
            return None;
        }
        taken.insert(viewer.clone(), of_this + 1);
        Some(Place { places: Arc::clone(self), viewer: viewer.clone() })
    }
}

/// A follower's place, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    viewer: Viewer,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        if let Some(of_this) = taken.get_mut(&self.viewer) {
            *of_this -= 1;
            if *of_this == 0 {
                taken.remove(&self.viewer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ncore_model::ClientId;

    use super::{FOLLOWERS_MAX, OF_A_CLIENT_MAX, Places};
    use crate::logs::Viewer;

    #[test]
    fn places_are_bounded_for_each_and_for_all_and_come_back() {
        let places: Arc<Places> = Arc::default();
        let client = |number: usize| Viewer::Client(ClientId::from_text(&format!("c{number}")));
        let mut held: Vec<_> = (0..OF_A_CLIENT_MAX).map(|_| places.take(&client(0)).expect("a place")).collect();
        assert!(places.take(&client(0)).is_none());
        held.extend((held.len()..FOLLOWERS_MAX).map(|number| places.take(&client(number)).expect("a place")));
        assert!(places.take(&client(FOLLOWERS_MAX)).is_none() && places.take(&Viewer::Operator).is_none());
        drop(held.remove(0));
        held.push(places.take(&client(0)).expect("a place"));
        drop(held);
        assert!(places.taken.lock().is_empty());
    }
}
