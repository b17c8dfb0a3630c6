//! Progress of one pull, sent to everybody who waits for it.

use crate::store::{LayerProgress, LayerStage, Progress};
use plimsoll_spec::image::Descriptor;
use std::sync::{Mutex, PoisonError};

/// Bytes between two reports of the same layer.
const STEP: u64 = 256 << 10;

#[derive(Default)]
pub(crate) struct Hub(Mutex<State>);

#[derive(Default)]
struct State {
    layers: Vec<LayerProgress>,
    sinks: Vec<Progress>,
}

impl State {
    fn report(&self) {
        for sink in &self.sinks {
            sink.send_replace(self.layers.clone());
        }
    }
}

impl Hub {
    pub(crate) fn add(&self, sink: Progress) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sink.send_replace(state.layers.clone());
        state.sinks.push(sink);
    }

    pub(crate) fn begin(&self, layers: &[Descriptor]) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = |layer: &Descriptor| LayerProgress {
            digest: layer.digest.clone(),
            stage: LayerStage::Waiting,
            done: 0,
            total: layer.size,
        };
        state.layers = layers.iter().map(waiting).collect();
        state.report();
    }

    pub(crate) fn stage(&self, index: usize, stage: LayerStage) {
        self.change(index, |layer| {
            layer.stage = stage;
            if matches!(stage, LayerStage::Done | LayerStage::Exists) {
                layer.done = layer.total;
            }
            true
        });
    }

    pub(crate) fn bytes(&self, index: usize, done: u64) {
        self.change(index, |layer| {
            let report = done >= layer.done + STEP || done == layer.total;
            if report {
                layer.done = done;
            }
            report
        });
    }

    fn change(&self, index: usize, act: impl FnOnce(&mut LayerProgress) -> bool) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.layers.get_mut(index).is_some_and(act) {
            state.report();
        }
    }
}
