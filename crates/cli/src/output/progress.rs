//! How a pull looks: a bar a layer on a terminal, a line a step elsewhere, nothing when programs read. Always on stderr.

use super::{Format, short_id, size};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use plimsoll_proto::admin::{LayerProgress, Stage, pull_progress};
use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::Duration;

pub(crate) enum Progress {
    Bars(Bars),
    Lines(HashMap<String, Stage>),
    Quiet,
}

#[derive(Default)]
pub(crate) struct Bars {
    all: MultiProgress,
    layers: HashMap<String, ProgressBar>,
}

impl Progress {
    pub(crate) fn new(format: Format) -> Self {
        match format {
            Format::Json => Self::Quiet,
            Format::Table if std::io::stderr().is_terminal() => Self::Bars(Bars::default()),
            Format::Table => Self::Lines(HashMap::new()),
        }
    }

    pub(crate) fn resolved(&mut self, resolved: &pull_progress::Resolved) {
        let total: u64 = resolved.layers.iter().map(|layer| layer.size).sum();
        let text = format!(
            "{}: {} in {} layer{}",
            resolved.reference,
            size(total),
            resolved.layers.len(),
            if resolved.layers.len() == 1 { "" } else { "s" }
        );
        match self {
            Self::Bars(bars) => bars.begin(&text, &resolved.layers),
            Self::Lines(_) => eprintln!("{text}"),
            Self::Quiet => {}
        }
    }

    pub(crate) fn layer(&mut self, layer: &LayerProgress) {
        match self {
            Self::Bars(bars) => bars.advance(layer),
            Self::Lines(seen) => {
                if seen.insert(layer.digest.clone(), layer.stage()) != Some(layer.stage()) {
                    eprintln!("{}: {}", short_id(&layer.digest), word(layer.stage()));
                }
            }
            Self::Quiet => {}
        }
    }
}

impl Bars {
    fn begin(&mut self, text: &str, layers: &[plimsoll_proto::admin::Layer]) {
        self.say(text);
        for layer in layers {
            self.bar(&layer.digest, layer.size);
        }
    }

    fn say(&self, text: &str) {
        // A terminal that went away must not fail a pull.
        if self.all.println(text).is_err() {
            eprintln!("{text}");
        }
    }

    fn bar(&mut self, digest: &str, total: u64) -> &ProgressBar {
        let all = &self.all;
        self.layers.entry(digest.to_owned()).or_insert_with(|| {
            let style = ProgressStyle::with_template("{prefix} {msg:8} [{bar:30}] {bytes:>10} / {total_bytes}");
            let bar = all.add(ProgressBar::new(total).with_prefix(short_id(digest)).with_message(word(Stage::Waiting)));
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
            bar
        })
    }

    fn advance(&mut self, layer: &LayerProgress) {
        let stage = layer.stage();
        let bar = self.bar(&layer.digest, layer.total);
        bar.set_message(word(stage));
        match stage {
            Stage::Done | Stage::Exists => {
                bar.set_position(bar.length().unwrap_or(0));
                bar.abandon();
            }
            _ => {
                if layer.total > 0 {
                    bar.set_length(layer.total);
                }
                bar.set_position(layer.bytes);
            }
        }
    }
}

/// A spinner for a pull of which nothing is known until its end.
pub(crate) fn spinner(text: String) -> Option<ProgressBar> {
    let bar = std::io::stderr().is_terminal().then(|| ProgressBar::new_spinner().with_message(text))?;
    bar.enable_steady_tick(Duration::from_millis(120));
    Some(bar)
}

fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Waiting => "waiting",
        Stage::Fetch => "fetching",
        Stage::Inflate => "inflating",
        Stage::Apply => "applying",
        Stage::Done => "done",
        Stage::Exists => "exists",
    }
}
