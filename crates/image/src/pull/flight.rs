//! Single flight: whoever asks for what is under way joins it. The work is a task of its own: a caller that goes away
//! stops nothing.

use plimsoll_fault::{Fault, Layer, Result};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

type Outcome<V> = watch::Receiver<Option<Result<V>>>;

type Board<K, V, C> = Arc<Mutex<HashMap<K, (Outcome<V>, C)>>>;

/// Work under way by key, each with something that joiners share (`C`).
pub(crate) struct Flights<K, V, C>(Board<K, V, C>);

/// A flight that one is on.
#[derive(Clone)]
pub(crate) struct Flight<V, C> {
    outcome: Outcome<V>,
    pub(crate) shared: C,
}

impl<K, V, C> Default for Flights<K, V, C> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, V, C> Flights<K, V, C>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
    C: Clone + Send + 'static,
{
    /// Joins the flight of `key`, or starts one with what `start` makes.
    pub(crate) fn join<F>(&self, key: &K, start: impl FnOnce() -> (C, F)) -> Flight<V, C>
    where
        F: Future<Output = Result<V>> + Send + 'static,
    {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((outcome, shared)) = flights.get(key) {
            return Flight { outcome: outcome.clone(), shared: shared.clone() };
        }
        let (shared, work) = start();
        let (sender, outcome) = watch::channel(None);
        flights.insert(key.clone(), (outcome.clone(), shared.clone()));
        drop(flights);
        let landing = Landing { flights: Arc::clone(&self.0), key: key.clone() };
        tokio::spawn(async move {
            let result = work.await;
            // Off the list first: whoever comes from here on starts anew.
            drop(landing);
            sender.send_replace(Some(result));
        });
        Flight { outcome, shared }
    }

    /// Joins the flight of `key`, if there is one.
    pub(crate) fn find(&self, key: &K) -> Option<Flight<V, C>> {
        let flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        flights.get(key).map(|(outcome, shared)| Flight { outcome: outcome.clone(), shared: shared.clone() })
    }
}

/// Takes the flight off the list, also if its work panics.
struct Landing<K: Eq + Hash, V, C> {
    flights: Board<K, V, C>,
    key: K,
}

impl<K: Eq + Hash, V, C> Drop for Landing<K, V, C> {
    fn drop(&mut self) {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

impl<V: Clone, C> Flight<V, C> {
    /// Waits for the end.
    pub(crate) async fn wait(mut self) -> Result<V> {
        let outcome = self.outcome.wait_for(Option::is_some).await;
        let result = outcome.ok().and_then(|value| value.clone());
        result.unwrap_or_else(|| Err(Fault::new(Layer::Daemon, "pull", "a task of the pull ended without a result")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn work_is_done_once_and_outlives_its_starter() {
        let flights: Flights<&str, u32, ()> = Flights::default();
        let runs = Arc::new(AtomicU32::new(0));
        let work = || {
            let runs = Arc::clone(&runs);
            let run = async move {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                Ok(runs.fetch_add(1, Ordering::SeqCst))
            };
            ((), run)
        };
        let first = flights.join(&"k", work);
        let second = flights.join(&"k", work);
        drop(first);
        assert_eq!(second.wait().await.unwrap(), 0);
        assert!(flights.find(&"k").is_none());
        assert_eq!(flights.join(&"k", work).wait().await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_panic_is_a_fault_and_the_key_is_free() {
        let flights: Flights<&str, u32, ()> = Flights::default();
        let flight = flights.join(&"k", || ((), async { panic!("on purpose") }));
        assert!(flight.wait().await.is_err());
        assert!(flights.find(&"k").is_none());
    }
}
