//! Keys that no tag has.

use factum::Event;

#[derive(Event)]
struct Opened {
    #[event(tag = "")]
    owner: String,
    #[event(tag = "account:owner")]
    joint_owner: String,
    #[event(tag = "bank\n")]
    bank: String,
    #[event(tag = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk")]
    branch: String,
}

fn main() {}
