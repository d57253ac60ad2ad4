//! Attributes of `serde` that are not on a field.

use factum::Event;

#[derive(Event)]
#[serde(rename_all = "camelCase")]
struct Opened {
    owner_name: String,
}

#[derive(Event)]
enum AccountEvent {
    #[serde(rename = "account-closed")]
    Closed,
}

fn main() {}
