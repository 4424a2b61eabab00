//! Whole calls through a controller in memory, from the order by HTTP to the end of the last transaction.
//!
//! They are rehearsed once, with phones and whoever orders them, and written down; what is timed is the controller that is
//! handed the same again. The phones, the orders and the making of a controller are not in the times.

use cordboard_core::io::Outbox;
use cordboard_tests::rehearsal::{Flow, Rehearsal};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

/// So many calls are one measurement.
const CALLS: u32 = 200;

fn calls(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(format!("{CALLS} calls"));
    group.throughput(Throughput::Elements(CALLS.into()));
    for flow in Flow::ALL {
        let rehearsal = Rehearsal::of(flow, CALLS);
        let mut outbox = Outbox::new();
        group.bench_function(flow.name(), |bencher| {
            bencher.iter_batched_ref(
                || rehearsal.controller(),
                |controller| rehearsal.tape.play(controller, &mut outbox),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, calls);
criterion_main!(benches);
