//! Medians, ratios and means; as a table for people, as JSON and as CSV.

use std::fmt::Write as _;

use serde::Serialize;

use crate::items::{Group, Item};
use crate::run::{Cell, Samples};

/// One item under one contestant, summed up.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// What its programs are for.
    pub guest: String,
    /// The item.
    pub item: String,
    /// Its group.
    pub group: Group,
    /// The contestant.
    pub emulator: String,
    /// Median of the elapsed times, in seconds.
    pub seconds: Option<f64>,
    /// Shortest elapsed time, in seconds.
    pub shortest: Option<f64>,
    /// Median of user and system time together, in seconds.
    pub cpu_seconds: Option<f64>,
    /// Median of the largest resident sets, in bytes.
    pub peak_memory: Option<u64>,
    /// How many times faster than the baseline.
    pub speedup: Option<f64>,
    /// Why there are no figures.
    pub failure: Option<String>,
}

/// Mean of a group's speed-ups.
#[derive(Debug, Clone, Serialize)]
pub struct Mean {
    /// What its items' programs are for.
    pub guest: String,
    /// The group.
    pub group: Group,
    /// The contestant.
    pub emulator: String,
    /// Geometric mean over the group's items that both finished.
    pub speedup: f64,
    /// Over how many items.
    pub items: usize,
}

/// All that was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What speed-ups refer to.
    pub baseline: String,
    /// Runs of each item.
    pub runs: usize,
    /// One for each item and contestant.
    pub entries: Vec<Entry>,
    /// One for each group and contestant.
    pub means: Vec<Mean>,
    #[serde(skip)]
    names: Vec<String>,
}

impl Report {
    /// An empty report with a column for each of `names`.
    #[must_use]
    pub fn new(names: &[String], baseline: &str, runs: usize) -> Self {
        Self {
            baseline: baseline.to_owned(),
            runs,
            entries: vec![],
            means: vec![],
            names: names.to_vec(),
        }
    }

    /// Adds an item's row; `cells` are in the order of the columns.
    pub fn add(&mut self, guest: &str, item: &Item, cells: &[Cell]) {
        let base = self
            .names
            .iter()
            .position(|name| *name == self.baseline)
            .and_then(|index| cells.get(index));
        let base = base.and_then(|cell| samples_of(cell)).and_then(|samples| median(&samples.wall));
        for (name, cell) in self.names.iter().zip(cells) {
            self.entries.push(entry(guest, item, name, cell, base));
        }
    }

    /// Computes the means, when all rows are in.
    pub fn finish(&mut self) {
        let mut guests: Vec<String> =
            self.entries.iter().map(|entry| entry.guest.clone()).collect();
        guests.dedup();
        for guest in guests {
            let groups = [Group::Integer, Group::Float, Group::Work, Group::Machine, Group::Memory];
            for group in groups {
                let means = self.names.iter().filter_map(|name| self.mean(&guest, group, name));
                let means: Vec<Mean> = means.collect();
                self.means.extend(means);
            }
        }
    }

    fn mean(&self, guest: &str, group: Group, emulator: &str) -> Option<Mean> {
        let ours = self.entries.iter().filter(|entry| {
            entry.guest == guest && entry.group == group && entry.emulator == emulator
        });
        let speedups: Vec<f64> = ours.filter_map(|entry| entry.speedup).collect();
        let speedup = geometric_mean(&speedups)?;
        let (guest, emulator, items) = (guest.to_owned(), emulator.to_owned(), speedups.len());
        Some(Mean { guest, group, emulator, speedup, items })
    }

    /// Whether every cell that was run has figures.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.entries.iter().all(|entry| entry.failure.is_none())
    }

    /// The head of the table of a guest.
    #[must_use]
    pub fn head(&self, guest: &str) -> String {
        let mut line = format!("{guest:<15}");
        for name in &self.names {
            let _ = write!(line, " {:>28}", format!("{name}: s, speed, MB"));
        }
        line
    }

    /// The table's line for the item that was added last.
    #[must_use]
    pub fn last_row(&self) -> String {
        let from = self.entries.len().saturating_sub(self.names.len());
        let entries = &self.entries[from..];
        let mut line = format!("{:<15}", entries.first().map_or("", |entry| &entry.item));
        for entry in entries {
            let _ = write!(line, " {:>28}", cell_text(entry));
        }
        line
    }

    /// The table's last lines: the means, then the reasons of failures.
    #[must_use]
    pub fn foot(&self) -> String {
        let mut text = format!("\nGeometric means of speed against {}:\n", self.baseline);
        for mean in &self.means {
            let group = format!("{:?}", mean.group).to_lowercase();
            let _ = writeln!(
                text,
                "  {:<8} {group:<8} {:<12} {:>6.2}x over {} items",
                mean.guest, mean.emulator, mean.speedup, mean.items
            );
        }
        for entry in &self.entries {
            if let Some(reason) = &entry.failure {
                let _ = writeln!(
                    text,
                    "FAILED {} of {} under {}: {reason}",
                    entry.item, entry.guest, entry.emulator
                );
            }
        }
        text
    }

    /// One line for each entry, with a head.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut text = String::from(
            "guest,item,group,emulator,seconds,shortest,cpu_seconds,peak_memory,speedup,failure\n",
        );
        let number =
            |value: Option<f64>| value.map(|value| format!("{value:.6}")).unwrap_or_default();
        for entry in &self.entries {
            let memory = entry.peak_memory.map(|bytes| bytes.to_string()).unwrap_or_default();
            let failure = entry.failure.as_deref().unwrap_or_default().replace('"', "\"\"");
            let group = format!("{:?}", entry.group).to_lowercase();
            let _ = writeln!(
                text,
                "{},{},{group},{},{},{},{},{memory},{},\"{failure}\"",
                entry.guest,
                entry.item,
                entry.emulator,
                number(entry.seconds),
                number(entry.shortest),
                number(entry.cpu_seconds),
                number(entry.speedup),
            );
        }
        text
    }
}

fn samples_of(cell: &Cell) -> Option<&Samples> {
    match cell {
        Cell::Measured(samples) => Some(samples),
        Cell::Absent | Cell::Failed(_) => None,
    }
}

fn entry(guest: &str, item: &Item, emulator: &str, cell: &Cell, base: Option<f64>) -> Entry {
    let samples = samples_of(cell);
    let seconds = samples.and_then(|samples| median(&samples.wall));
    let memory = samples
        .map(|samples| samples.peak_memory.iter().map(|&bytes| bytes as f64).collect::<Vec<_>>());
    Entry {
        guest: guest.to_owned(),
        item: item.name.to_owned(),
        group: item.group,
        emulator: emulator.to_owned(),
        seconds,
        shortest: samples.and_then(|samples| samples.wall.iter().copied().reduce(f64::min)),
        cpu_seconds: samples.and_then(|samples| median(&samples.cpu)),
        peak_memory: memory.and_then(|memory| median(&memory)).map(|bytes| bytes as u64),
        speedup: base.zip(seconds).map(|(base, seconds)| base / seconds),
        failure: if let Cell::Failed(reason) = cell { Some(reason.clone()) } else { None },
    }
}

fn cell_text(entry: &Entry) -> String {
    match (entry.seconds, entry.peak_memory) {
        (Some(seconds), Some(memory)) => {
            let speed =
                entry.speedup.map_or_else(|| "-".to_owned(), |speedup| format!("{speedup:.2}x"));
            format!("{seconds:.3} {speed:>8} {:>7.1}", memory as f64 / f64::from(1 << 20))
        }
        _ if entry.failure.is_some() => "failed".to_owned(),
        _ => "-".to_owned(),
    }
}

/// Of an even number of values, the mean of the two in the middle.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        count if count % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

fn geometric_mean(values: &[f64]) -> Option<f64> {
    let logarithms: f64 = values.iter().map(|value| value.ln()).sum();
    (!values.is_empty()).then(|| (logarithms / values.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::items::ITEMS;

    fn measured(wall: &[f64]) -> Cell {
        Cell::Measured(Samples {
            wall: wall.to_vec(),
            cpu: wall.to_vec(),
            peak_memory: vec![1 << 20; wall.len()],
        })
    }

    #[test]
    fn medians_and_means() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
        assert_eq!(geometric_mean(&[1.0, 4.0]), Some(2.0));
    }

    #[test]
    fn speed_refers_to_the_baseline() {
        let mut report = Report::new(&["new".into(), "old".into()], "old", 3);
        report.add("riscv64", &ITEMS[0], &[measured(&[1.0, 2.0, 9.0]), measured(&[8.0, 6.0, 8.0])]);
        report.add("riscv64", &ITEMS[1], &[Cell::Failed("boom".into()), measured(&[1.0])]);
        report.finish();
        assert_eq!(report.entries[0].speedup, Some(4.0));
        assert_eq!(report.entries[2].speedup, None);
        assert!((report.means[0].speedup - 4.0).abs() < 1e-9);
        assert!(!report.complete());
        assert!(report.foot().contains("FAILED fib of riscv64 under new: boom"));
        assert_eq!(report.csv().lines().count(), 5);
    }
}
