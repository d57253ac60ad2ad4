//! A boundary that is no model, alone and as a part.

use factum::Log;

struct Capacity;

async fn load(log: Log) {
    log.load(Capacity).await;
}

async fn load_two(log: Log) {
    log.load((Capacity, Capacity)).await;
}

fn main() {}
