//! The loops that measure.

use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use tokio::runtime::Handle;

use crate::command::Sample;
use crate::peer::{Tally, Writer};
use crate::stats::Latencies;
use crate::workload;

/// Has each writer append in a task of its own, one append after the other, until the window is over.
///
/// # Errors
/// The first append that failed.
pub(crate) async fn append_in_tasks<W: Writer>(writers: Vec<W>, window: Duration) -> Result<(Vec<W>, Sample)> {
    let start_together = Arc::new(tokio::sync::Barrier::new(writers.len() + 1));
    let spawn = |writer| {
        let start_together = Arc::clone(&start_together);
        tokio::spawn(async move {
            start_together.wait().await;
            append(writer, window).await
        })
    };
    let tasks: Vec<_> = writers.into_iter().map(spawn).collect();
    start_together.wait().await;
    let start = Instant::now();
    let mut ended = Vec::new();
    for task in tasks {
        ended.push(task.await??);
    }
    Ok(sum(ended, start.elapsed()))
}

/// The same, in threads.
///
/// # Errors
/// The first append that failed.
pub(crate) fn append_in_threads<W: Writer>(runtime: &Handle, writers: Vec<W>, window: Duration) -> Result<(Vec<W>, Sample)> {
    let start_together = Barrier::new(writers.len() + 1);
    std::thread::scope(|scope| {
        let spawn = |writer| {
            let start_together = &start_together;
            scope.spawn(move || {
                start_together.wait();
                runtime.block_on(append(writer, window))
            })
        };
        let threads: Vec<_> = writers.into_iter().map(spawn).collect();
        start_together.wait();
        let start = Instant::now();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().map_err(|_| anyhow!("a writer panicked"))?;
        let ended = threads.into_iter().map(join).collect::<Result<_>>()?;
        Ok(sum(ended, start.elapsed()))
    })
}

async fn append<W: Writer>(mut writer: W, window: Duration) -> Result<(W, Latencies)> {
    let mut latencies = Latencies::default();
    let start = Instant::now();
    while start.elapsed() < window {
        let called = Instant::now();
        writer.append().await?;
        latencies.add(called.elapsed());
    }
    Ok((writer, latencies))
}

fn sum<W>(ended: Vec<(W, Latencies)>, took: Duration) -> (Vec<W>, Sample) {
    let mut all = Latencies::default();
    let writers = ended
        .into_iter()
        .map(|(writer, latencies)| {
            all.extend(&latencies);
            writer
        })
        .collect();
    let calls = all.count();
    (writers, Sample::new(calls, took, &mut all))
}

/// Calls with random numbers, one call after the other, for some seconds.
///
/// # Errors
/// The first call that failed.
pub(crate) async fn calls(seconds: f64, seed: u64, mut call: impl AsyncFnMut(u64) -> Result<Tally>) -> Result<Sample> {
    let mut latencies = Latencies::default();
    let mut total = Tally::default();
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < seconds {
        let random = workload::mix(seed ^ workload::mix(latencies.count()));
        let called = Instant::now();
        let tally = call(random).await?;
        latencies.add(called.elapsed());
        total.events += tally.events;
        total.bytes += tally.bytes;
    }
    let calls = latencies.count();
    Ok(Sample { events: total.events, bytes: total.bytes, ..Sample::new(calls, start.elapsed(), &mut latencies) })
}
