//! Long operations by key: a repeated request joins the one under way. An operation outlives its callers' patience.

use plimsoll_fault::{Fault, Kind, Layer, Result};
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::watch;

/// The operations of one result type. Cheap to clone; all clones are one.
pub(crate) struct Operations<T>(Arc<Mutex<HashMap<String, Running<T>>>>);

struct Running<T> {
    stage: Stage,
    result: watch::Receiver<Option<Result<T>>>,
}

/// Where an operation is; set by itself, read by those who join or list.
#[derive(Clone)]
pub(crate) struct Stage(Arc<Mutex<(&'static str, Instant)>>);

impl Stage {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(("begin", Instant::now()))))
    }

    pub(crate) fn enter(&self, name: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (name, Instant::now());
    }

    fn now(&self) -> (&'static str, Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Operations<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Operations<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(HashMap::new())))
    }
}

impl<T: Clone + Send + Sync + 'static> Operations<T> {
    /// Runs `work` under `key`, or waits for the one that runs already. If this future is dropped, the work goes on.
    pub(crate) async fn join<F, W>(&self, key: &str, work: W) -> Result<T>
    where
        W: FnOnce(Stage) -> F,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let mut result = self.start(key, work);
        match result.wait_for(Option::is_some).await {
            Ok(done) => done.clone().unwrap_or_else(|| Err(died(key))),
            Err(_) => Err(died(key)),
        }
    }

    /// Waits for the end of the operation under `key`, if there is one; whether there was.
    pub(crate) async fn over(&self, key: &str) -> bool {
        let running = self.table().get(key).map(|running| running.result.clone());
        let Some(mut result) = running else { return false };
        if result.wait_for(Option::is_some).await.is_err() {
            tracing::debug!(key, "an operation ended without a result");
        }
        true
    }

    /// What runs now: key, stage, seconds in this stage.
    pub(crate) fn list(&self) -> Vec<(String, &'static str, u64)> {
        let row = |(key, running): (&String, &Running<T>)| {
            let (stage, since) = running.stage.now();
            (key.clone(), stage, since.elapsed().as_secs())
        };
        self.table().iter().map(row).collect()
    }

    fn start<F, W>(&self, key: &str, work: W) -> watch::Receiver<Option<Result<T>>>
    where
        W: FnOnce(Stage) -> F,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let mut table = self.table();
        if let Some(running) = table.get(key) {
            let (stage, since) = running.stage.now();
            tracing::info!(
                key,
                stage,
                seconds = since.elapsed().as_secs(),
                "a repeated request joins the one under way"
            );
            return running.result.clone();
        }
        let (sender, result) = watch::channel(None);
        let stage = Stage::new();
        table.insert(key.to_owned(), Running { stage: stage.clone(), result: result.clone() });
        let done = Done { operations: self.clone(), key: key.to_owned() };
        let work = work(stage);
        tokio::spawn(async move {
            let outcome = work.await;
            drop(done);
            sender.send_replace(Some(outcome));
        });
        result
    }

    fn table(&self) -> MutexGuard<'_, HashMap<String, Running<T>>> {
        // The table is whole after each statement, so a panic elsewhere leaves it usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the operation off the table, also when it panicked.
struct Done<T: Clone + Send + Sync + 'static> {
    operations: Operations<T>,
    key: String,
}

impl<T: Clone + Send + Sync + 'static> Drop for Done<T> {
    fn drop(&mut self) {
        self.operations.table().remove(&self.key);
    }
}

fn died(key: &str) -> Fault {
    Fault::new(Layer::Daemon, "operation", format!("the operation {key} ended without a result")).kind(Kind::Internal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    #[tokio::test]
    async fn the_second_joins_the_first_even_when_the_first_has_lost_patience() {
        let operations = Operations::<u32>::default();
        let runs = Arc::new(AtomicU32::new(0));
        let work = |stage: Stage| {
            let runs = runs.clone();
            async move {
                stage.enter("sleep");
                tokio::time::sleep(Duration::from_millis(60)).await;
                Ok(runs.fetch_add(1, Ordering::SeqCst) + 1)
            }
        };
        let impatient = tokio::time::timeout(Duration::from_millis(10), operations.join("k", work)).await;
        assert!(impatient.is_err());
        assert_eq!(operations.list()[0].1, "sleep");
        assert!(!operations.over("another").await);
        let (a, b) = tokio::join!(operations.join("k", work), operations.join("k", work));
        assert_eq!((a.expect("joined"), b.expect("joined")), (1, 1));
        let (c, waited) = tokio::join!(operations.join("k", work), operations.over("k"));
        assert_eq!((c.expect("a new one"), waited), (2, true));
        assert!(!operations.over("k").await);
    }
}
