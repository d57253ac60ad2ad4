//! What is no set of events.

use factum::Event;

#[derive(Event)]
struct Placed {
    order: u32,
}

#[derive(Event)]
#[event(set)]
enum TwoOfOneName {
    One(Placed),
    Other(Placed),
}

#[derive(Event)]
#[event(set, prefix = "Order")]
enum MoreThanASet {
    One(Placed),
}

#[derive(Event)]
#[event(set)]
enum NoEventsInIt {
    #[event(name = "placed")]
    One(Placed),
    Two { placed: Placed },
    Three,
}

#[derive(Event)]
#[event(set)]
struct NoEnum(Placed);

fn main() {}
